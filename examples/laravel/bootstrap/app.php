<?php

// The framework is Debian's php-laravel-framework: there is no Composer and no vendor directory here.
require_once '/usr/share/php/Illuminate/autoload.php';

spl_autoload_register(function (string $class): void {
    if (str_starts_with($class, 'App\\')) {
        $file = dirname(__DIR__).'/app/'.strtr(substr($class, 4), '\\', '/').'.php';
        if (is_file($file)) {
            require $file;
        }
    }
});

// The code is read-only; everything that is written goes below one directory. Laravel keeps its caches in
// bootstrap/cache unless these variables say otherwise.
$storage = getenv('APP_STORAGE') ?: dirname(__DIR__).'/storage';
foreach (['CONFIG', 'EVENTS', 'PACKAGES', 'ROUTES', 'SERVICES'] as $cache) {
    $_ENV["APP_{$cache}_CACHE"] ??= $storage.'/framework/cache/'.strtolower($cache).'.php';
}

$app = new Illuminate\Foundation\Application(dirname(__DIR__));
$app->useStoragePath($storage);
$app->singleton(Illuminate\Contracts\Http\Kernel::class, Illuminate\Foundation\Http\Kernel::class);
$app->singleton(Illuminate\Contracts\Console\Kernel::class, App\Console\Kernel::class);
$app->singleton(Illuminate\Contracts\Debug\ExceptionHandler::class, App\Exceptions\Handler::class);

return $app;
