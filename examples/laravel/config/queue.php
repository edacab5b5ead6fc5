<?php

return [
    'default' => 'redis',
    'connections' => [
        'redis' => [
            'driver' => 'redis',
            'connection' => 'default',
            'queue' => 'default',
            // Above the worker's --timeout, or a job that still runs is handed out a second time.
            'retry_after' => 90,
        ],
    ],
    'failed' => ['driver' => 'null'],
];
