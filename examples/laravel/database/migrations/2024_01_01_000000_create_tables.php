<?php

use Illuminate\Database\Migrations\Migration;
use Illuminate\Database\Schema\Blueprint;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Schema;

return new class extends Migration
{
    public function up()
    {
        // Readers and one writer do not wait for each other; the mode stays with the file.
        DB::statement('pragma journal_mode = wal');

        Schema::create('counters', function (Blueprint $table) {
            $table->string('name')->primary();
            $table->unsignedBigInteger('value')->default(0);
        });
        DB::table('counters')->insert(['name' => 'hits']);

        Schema::create('job_runs', function (Blueprint $table) {
            $table->id();
            $table->string('job');
            $table->string('worker');
            $table->double('started_at');
            $table->double('finished_at')->nullable();
        });
    }

    public function down()
    {
        Schema::dropIfExists('job_runs');
        Schema::dropIfExists('counters');
    }
};
