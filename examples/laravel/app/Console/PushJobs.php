<?php

namespace App\Console;

use App\Jobs\Work;
use Illuminate\Console\Command;

class PushJobs extends Command
{
    protected $signature = 'queue:push {count=1 : How many jobs} {--seconds=0 : How long each one works}';

    protected $description = 'Dispatch jobs to the queue';

    public function handle(): int
    {
        for ($i = 0; $i < (int) $this->argument('count'); $i++) {
            dispatch(new Work((float) $this->option('seconds')));
        }
        $this->info("dispatched {$i}");

        return self::SUCCESS;
    }
}
