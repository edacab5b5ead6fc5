{{/* The ProcessSet's spec, without its revision. */}}
{{- define "laravel.spec" -}}
{{- $root := . -}}
{{- $times := include "laravel.times" . | fromYaml -}}
{{- $artisan := list .Values.app.php "artisan" -}}
{{- /* Who needs redis waits for it, and is gone before it. */ -}}
{{- $redis := .Values.redis.enabled | ternary (list (dict "name" "redis")) list -}}
terminationGracePeriodSeconds: {{ int .Values.gracePeriodSeconds }}
shutdown:
  drain: {{ int .Values.drainSeconds }}s
  {{- if not (kindIs "invalid" .Values.tailSeconds) }}
  tail: {{ int .Values.tailSeconds }}s
  {{- end }}
{{- if eq .Values.mode "ProcessSet" }}
rollout:
  maxUnavailable: {{ .Values.processSet.maxUnavailable }}
  progressDeadlineSeconds: {{ int .Values.processSet.progressDeadlineSeconds }}
{{- end }}
{{- range $field := list "hooks" "logging" "sidecars" }}
{{- with index $root.Values $field }}
{{ $field }}: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- include "laravel.directories" . }}
{{- $where := .Values.app.path -}}
{{- $inits := list -}}
{{- range .Values.app.caches }}
{{- $name := regexReplaceAll "[^a-z0-9]+" (lower .) "-" | trimAll "-" | trunc 63 | trimSuffix "-" -}}
{{- $command := concat $artisan (regexSplit "\\s+" (trim .) -1) -}}
{{- $inits = append $inits (dict "name" $name "command" $command "workingDir" $where) -}}
{{- end }}
{{- $early := include "laravel.early" . | atoi -}}
{{- $inits = concat $inits (slice .Values.extraInitProcesses 0 $early | default list) -}}
{{- if include "laravel.migrateInPod" . }}
{{- $command := concat $artisan (list "migrate" "--force") .Values.migrate.args -}}
{{- $migrate := dict "name" "migrate" "command" $command "workingDir" $where -}}
{{- if eq .Values.migrate.scope "Set" }}
{{- $_ := set $migrate "scope" "Set" -}}
{{- with .Values.migrate.runKey }}{{ $_ := set $migrate "runKey" . }}{{ end }}
{{- end }}
{{- $inits = append $inits $migrate -}}
{{- end }}
{{- $inits = concat $inits (slice .Values.extraInitProcesses $early | default list) -}}
{{- range $inits }}
{{- if and (eq $root.Values.mode "File") (eq (.scope | default "Pod") "Set") }}
{{- fail (printf "extraInitProcesses: `%s` has scope Set, which needs rights at the API server: mode ProcessSet" .name) }}
{{- end }}
{{- end }}
{{- with $inits }}
initProcesses:
  {{- toYaml . | nindent 2 }}
{{- end }}
processes:
{{- if .Values.redis.enabled }}
  # Serving: what serves needs it to the end.
  - name: redis
    command: {{ append .Values.redis.command "/etc/podinit/redis.conf" | toJson }}
    terminationGracePeriodSeconds: {{ $times.redis }}
    readinessProbe:
      exec: {command: [redis-cli, -e, ping]}
      periodSeconds: 1
{{- end }}
{{- if .Values.web.enabled }}
{{- $grace := add1 $times.request }}
  - name: php-fpm
    command: {{ concat .Values.phpFpm.command (list "-y" "/etc/podinit/php-fpm.conf") | toJson }}
    stopSignal: SIGQUIT
    # A second above process_control_timeout.
    terminationGracePeriodSeconds: {{ $grace }}
    restartBackoff: {initial: 500ms, max: 30s}
    readinessProbe:
      fastCgi: {address: "127.0.0.1:9000", path: /ping}
      periodSeconds: 1
    # Of a worker beside the pool: that all are busy is no reason for a restart.
    livenessProbe:
      fastCgi: {address: "127.0.0.1:9001", path: /status}
      timeoutSeconds: 5
    {{- with $redis }}
    dependsOn: {{ toJson . }}
    {{- end }}
  - name: nginx
    command: {{ concat .Values.web.command (list "-c" "/etc/podinit/nginx.conf" "-e" "stderr") | toJson }}
    stopSignal: SIGQUIT
    # A second above worker_shutdown_timeout.
    terminationGracePeriodSeconds: {{ $grace }}
    restartBackoff: {initial: 500ms, max: 30s}
    readinessProbe:
      httpGet: {path: {{ .Values.web.readinessPath | quote }}, port: {{ int .Values.web.port }}}
      periodSeconds: 1
    livenessProbe:
      httpGet: {path: /nginx-health, port: {{ int .Values.web.port }}}
      timeoutSeconds: 5
    dependsOn: [{name: php-fpm}]
{{- end }}
{{- range $name, $queue := include "laravel.queues" . | fromYaml }}
{{- $timeout := include "laravel.or" (list $queue.timeout $times.wait) }}
{{- $command := append $artisan "queue:work" }}
{{- with $queue.connection }}{{ $command = append $command . }}{{ end }}
{{- $command = concat $command (list
      (printf "--queue=%s" (join "," $queue.queues)) (printf "--timeout=%s" $timeout) (printf "--tries=%d" (int $queue.tries))
      (printf "--sleep=%s" (include "laravel.text" $queue.sleep)) (printf "--memory=%d" (int $queue.memory))) }}
{{- $backoff := list }}
{{- range kindIs "slice" $queue.backoff | ternary $queue.backoff (list $queue.backoff) }}
{{- if not (kindIs "invalid" .) }}{{ $backoff = append $backoff (include "laravel.text" .) }}{{ end }}
{{- end }}
{{- with $backoff }}{{ $command = append $command (printf "--backoff=%s" (join "," .)) }}{{ end }}
{{- if int $queue.maxJobs }}{{ $command = append $command (printf "--max-jobs=%d" (int $queue.maxJobs)) }}{{ end }}
{{- if int $queue.maxTime }}{{ $command = append $command (printf "--max-time=%d" (int $queue.maxTime)) }}{{ end }}
  - name: queue-{{ $name }}
    command: {{ concat $command $queue.args | toJson }}
    workingDir: {{ $where | quote }}
    replicas: {{ int $queue.replicas }}
    traffic: Background
    # Above --timeout: a worker that got SIGTERM ends its job, then itself.
    terminationGracePeriodSeconds: {{ add 2 $timeout }}
    restartBackoff: {initial: 500ms, max: 30s}
    {{- with $redis }}
    dependsOn: {{ toJson . }}
    {{- end }}
{{- end }}
{{- if .Values.horizon.enabled }}
  - name: horizon
    command: {{ append $artisan "horizon" | toJson }}
    workingDir: {{ $where | quote }}
    traffic: Background
    # Above the longest timeout of its workers, which it waits for.
    terminationGracePeriodSeconds: {{ add 2 (include "laravel.or" (list .Values.horizon.timeout $times.wait)) }}
    restartBackoff: {initial: 500ms, max: 30s}
    {{- with $redis }}
    dependsOn: {{ toJson . }}
    {{- end }}
{{- end }}
{{- if .Values.scheduler.enabled }}
  - name: scheduler
    command: {{ append $artisan "schedule:work" | toJson }}
    workingDir: {{ $where | quote }}
    traffic: Background
    terminationGracePeriodSeconds: 2
    restartBackoff: {initial: 500ms, max: 30s}
    {{- with $redis }}
    dependsOn: {{ toJson . }}
    {{- end }}
{{- end }}
{{- with .Values.extraProcesses }}
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
How many of extraInitProcesses come before the migration: all, or those before the first one that waits for it, by way of others
or not.
*/}}
{{- define "laravel.early" -}}
{{- $own := .Values.extraInitProcesses -}}
{{- $late := list -}}
{{- if include "laravel.migrateInPod" . }}{{ $late = list "migrate" }}{{ end -}}
{{- /* Each round takes in one link more of a chain. */ -}}
{{- range $own }}
{{- range $own }}
{{- $name := .name -}}
{{- range .dependsOn }}
{{- if and (has .name $late) (not (has $name $late)) }}{{ $late = append $late $name }}{{ end -}}
{{- end }}
{{- end }}
{{- end }}
{{- $early := len $own -}}
{{- range $at, $process := $own }}
{{- if has $process.name $late }}{{ $early = min $early $at }}{{ end -}}
{{- end }}
{{- $early -}}
{{- end -}}

{{/* Without them Laravel does not even start. */}}
{{- define "laravel.directories" -}}
{{- $root := . -}}
{{- with .Values.directories }}
directories:
  {{- $seen := list }}
  {{- range . }}
  {{- $path := include "laravel.path" (dict "root" $root "path" .) }}
  {{- if has $path $seen }}{{ fail (printf "directories: %s is there twice: remove one of the two" $path) }}{{ end }}
  {{- $seen = append $seen $path }}
  - path: {{ $path | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The spec of the migration's Job. An init process: a stop lets it end, where it would cut a process. */}}
{{- define "laravel.migrateSpec" -}}
terminationGracePeriodSeconds: {{ int .Values.gracePeriodSeconds }}
{{- with .Values.logging }}
logging: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "laravel.migrateSidecars" . | fromYamlArray }}
sidecars: {{- toYaml . | nindent 2 }}
{{- end }}
{{- include "laravel.directories" . }}
initProcesses:
  - name: migrate
    command: {{ concat (list .Values.app.php "artisan" "migrate" "--force") .Values.migrate.args | toJson }}
    workingDir: {{ .Values.app.path | quote }}
    # Another attempt is the Job's.
    restartPolicy: Never
{{- end -}}

{{/* The sidecars of the Job, as a list. The Job ends when they do, so those that can be told to quit are told. */}}
{{- define "laravel.migrateSidecars" -}}
{{- $own := .Values.migrate.job.sidecars -}}
{{- $made := list -}}
{{- range kindIs "invalid" $own | ternary .Values.sidecars $own }}
{{- $quits := or .preset .quitHttpPost | empty | not -}}
{{- $made = append $made ($quits | ternary (merge (dict) . (dict "quit" "OnCompletion")) .) -}}
{{- end }}
{{- toYaml $made -}}
{{- end -}}

{{/* Whether the migration is an init process. Else it is a Job, if there is one at all. */}}
{{- define "laravel.migrateInPod" -}}
{{- if and .Values.migrate.enabled (or (eq .Values.mode "ProcessSet") (eq .Values.migrate.scope "Pod")) }}yes{{ end -}}
{{- end -}}

{{/* A ProcessSet as a file and as an object are the same. Wants root, spec and revision. */}}
{{- define "laravel.processSet" -}}
spec:
  {{- with .revision }}
  revision: {{ . | quote }}
  {{- end }}
  {{- .spec | nindent 2 }}
{{- end -}}
