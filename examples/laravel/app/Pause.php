<?php

namespace App;

/** Work that takes its time. A signal ends a sleep early: a single one would be cut short by a request to stop. */
class Pause
{
    public static function seconds(float $seconds): void
    {
        $end = microtime(true) + $seconds;
        while (($left = $end - microtime(true)) > 0) {
            usleep((int) ceil($left * 1e6));
        }
    }
}
