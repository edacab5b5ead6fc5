<?php

use App\Jobs\Work;
use App\Pause;
use Illuminate\Http\JsonResponse;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Queue;
use Illuminate\Support\Facades\Redis;
use Illuminate\Support\Facades\Route;

Route::get('/', function () {
    DB::table('counters')->where('name', 'hits')->increment('value');

    return [
        'app' => config('app.name'),
        'laravel' => app()->version(),
        'hits' => (int) DB::table('counters')->where('name', 'hits')->value('value'),
        'pid' => getmypid(),
    ];
});

// Health: 200 when the database and redis answer, else 503 with what is wrong.
Route::get('/up', function () {
    $checks = [
        'sqlite' => fn () => DB::select('select 1'),
        'redis' => fn () => Redis::connection()->ping(),
    ];
    $status = array_map(function ($check) {
        try {
            $check();

            return 'ok';
        } catch (Throwable $e) {
            return $e->getMessage();
        }
    }, $checks);

    return new JsonResponse($status, array_unique(array_values($status)) === ['ok'] ? 200 : 503);
});

Route::get('/slow', function (Request $request) {
    $ms = min(max((int) $request->query('ms', 1000), 0), 60000);
    Pause::seconds($ms / 1000);

    return ['slept_ms' => $ms, 'pid' => getmypid()];
});

Route::post('/jobs', function (Request $request) {
    dispatch(new Work((float) $request->query('seconds', 0)));

    return new JsonResponse(['dispatched' => 1], 202);
});

Route::get('/jobs', fn () => ['queued' => Queue::size()]);
Route::get('/jobs/started', fn () => ['count' => DB::table('job_runs')->count()]);
Route::get('/jobs/done', fn () => ['count' => DB::table('job_runs')->whereNotNull('finished_at')->count()]);
