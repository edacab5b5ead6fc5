<?php

namespace App\Jobs;

use App\Pause;
use Illuminate\Bus\Queueable;
use Illuminate\Contracts\Queue\ShouldQueue;
use Illuminate\Queue\InteractsWithQueue;
use Illuminate\Support\Facades\DB;

/** Works for a while. A row without `finished_at` is a job that was begun and never ended. */
class Work implements ShouldQueue
{
    use InteractsWithQueue, Queueable;

    private float $seconds;

    public function __construct(float $seconds)
    {
        $this->seconds = $seconds;
    }

    public function handle(): void
    {
        $run = DB::table('job_runs')->insertGetId([
            'job' => $this->job->uuid(),
            'worker' => getenv('PODINIT_PROCESS').'-'.getenv('PODINIT_INSTANCE_INDEX'),
            'started_at' => microtime(true),
        ]);

        Pause::seconds($this->seconds);

        DB::table('job_runs')->where('id', $run)->update(['finished_at' => microtime(true)]);
    }
}
