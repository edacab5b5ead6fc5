<?php

namespace App\Providers;

use Illuminate\Foundation\Support\Providers\RouteServiceProvider;

class AppServiceProvider extends RouteServiceProvider
{
    public function boot()
    {
        // `migrate` wants the database file to exist.
        if ($this->app->runningInConsole()) {
            touch(config('database.connections.sqlite.database'));
        }

        $this->routes(fn () => require base_path('routes/web.php'));
    }
}
