{{/*
Each entry of a spec for itself: numbers that fit each other, probes and hooks that have somebody to ask. What a field can say
by itself is up to values.schema.json. Wants the spec.
*/}}
{{- define "laravel.checkEntries" -}}
{{- include "laravel.checkLines" (dict "at" "logging" "logging" .spec.logging) -}}
{{- range $when, $hooks := .spec.hooks }}
{{- $names := list -}}
{{- range $hooks }}
{{- if has .name $names }}{{ fail (printf "hooks.%s: the name `%s` is taken twice: rename one of them" $when .name) }}{{ end -}}
{{- $names = append $names .name -}}
{{- include "laravel.checkHook" (dict "at" (printf "hooks.%s: `%s`" $when .name) "hook" . "port" "write `port`") -}}
{{- end }}
{{- end }}
{{- range .spec.initProcesses }}
{{- include "laravel.checkRun" (dict "entry" . "port" "write `port`") -}}
{{- end }}
{{- range $process := .spec.processes }}
{{- /* What to do about a request without a port; nothing where there is one for each replica. */ -}}
{{- $port := hasKey . "portBase" | ternary "" "write `port`, or give the process a portBase" -}}
{{- include "laravel.checkRun" (dict "entry" . "port" $port) -}}
{{- include "laravel.checkReplicas" . -}}
{{- range $kind := list "startupProbe" "livenessProbe" "readinessProbe" }}
{{- with get $process $kind }}
{{- $at := printf "`%s`: %s" $process.name $kind -}}
{{- include "laravel.checkProbe" (dict "at" $at "probe" . "kind" $kind "port" $port) -}}
{{- end }}
{{- end }}
{{- end }}
{{- range .spec.sidecars }}
{{- if and (eq (.quit | default "Never") "OnCompletion") (not (or .preset .quitHttpPost)) }}
{{- fail (printf "sidecars: `%s` is to quit, and nothing says how: write quitHttpPost, or a preset that knows" .name) }}
{{- end }}
{{- $at := printf "sidecars: `%s`: startupProbe" .name -}}
{{- with .startupProbe }}
{{- include "laravel.checkProbe" (dict "at" $at "probe" . "kind" "startupProbe" "port" "write `port`") -}}
{{- if hasKey . "notify" }}
{{- fail (printf "%s.notify: podinit does not hear a sidecar: ask it by httpGet, tcpSocket, grpc, fastCgi or exec" $at) }}
{{- end }}
{{- if hasKey . "terminationGracePeriodSeconds" }}
{{- fail (printf "%s.terminationGracePeriodSeconds: podinit does not stop a sidecar: remove it" $at) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What processes and init processes have in common. Wants entry, and port as checkEntries has it. */}}
{{- define "laravel.checkRun" -}}
{{- $port := .port -}}
{{- with .entry }}
{{- $at := printf "`%s`" .name -}}
{{- include "laravel.checkLines" (dict "at" (printf "%s: logging" $at) "logging" .logging) -}}
{{- range $when, $hook := .lifecycle }}
{{- include "laravel.checkHook" (dict "at" (printf "%s: lifecycle.%s" $at $when) "hook" $hook "port" $port) -}}
{{- end }}
{{- range $what, $limit := .rlimits }}
{{- if and (hasKey $limit "soft") (hasKey $limit "hard") (ne (toString $limit.hard) "unlimited") }}
{{- if or (eq (toString $limit.soft) "unlimited") (gt (int64 $limit.soft) (int64 $limit.hard)) }}
{{- fail (printf "%s: rlimits.%s: soft is over hard: lower it" $at $what) }}
{{- end }}
{{- end }}
{{- end }}
{{- $backoff := .restartBackoff | default dict -}}
{{- $initial := $backoff.initial | default "1s" -}}
{{- $most := $backoff.max | default "5m" -}}
{{- if not (include "laravel.ms" $initial | atoi) }}
{{- fail (printf "%s: restartBackoff.initial: with %s it would be restarted without a pause, for ever: give more" $at $initial) }}
{{- end }}
{{- if gt (include "laravel.ms" $initial | atoi) (include "laravel.ms" $most | atoi) }}
{{- fail (printf "%s: restartBackoff.initial is %s, and max is %s: raise max, or lower initial" $at $initial $most) }}
{{- end }}
{{- with .restartLimit }}
{{- if not (include "laravel.ms" .window | atoi) }}
{{- fail (printf "%s: restartLimit.window: no failure is within no time: give more than %s" $at .window) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* How many of a process there are, and what their ends are for. */}}
{{- define "laravel.checkReplicas" -}}
{{- $at := printf "`%s`" .name -}}
{{- $replicas := include "laravel.or" (list .replicas 1) | atoi -}}
{{- $most := include "laravel.or" (list .maxReplicas $replicas) | atoi -}}
{{- if gt $replicas $most }}
{{- fail (printf "%s: replicas is %d, and maxReplicas %d: raise maxReplicas, or lower replicas" $at $replicas $most) }}
{{- end }}
{{- if hasKey . "portBase" }}
{{- $more := (get . "updateStrategy" | default dict).maxSurge | default 0 -}}
{{- if kindIs "string" $more }}{{ $more = div (add 99 (mul $most (trimSuffix "%" $more | atoi))) 100 }}{{ end -}}
{{- $last := sub (add .portBase $most $more) 1 -}}
{{- if gt $last 65535 }}
{{- fail (printf "%s: portBase: the last replica would have the port %d, and there is none over 65535: lower it" $at $last) }}
{{- end }}
{{- range .env }}
{{- if eq .name "PORT" }}{{ fail (printf "%s: PORT comes from portBase: leave out one of the two" $at) }}{{ end -}}
{{- end }}
{{- end }}
{{- if and (eq (.onSuccess | default "Ignore") "ExitSet") (eq (.restartPolicy | default "Always") "Always") }}
{{- fail (printf "%s: onSuccess: with restartPolicy Always it never completes: set that to OnFailure or Never" $at) }}
{{- end }}
{{- end -}}

{{/* Wants at, probe, kind, and port as checkEntries has it. */}}
{{- define "laravel.checkProbe" -}}
{{- range $handler := list "httpGet" "tcpSocket" "grpc" }}
{{- if hasKey $.probe $handler }}
{{- if and $.port (not (hasKey (get $.probe $handler) "port")) }}
{{- fail (printf "%s.%s has no port: %s" $.at $handler $.port) }}
{{- end }}
{{- end }}
{{- end }}
{{- if eq .kind "readinessProbe" }}
{{- if hasKey .probe "terminationGracePeriodSeconds" }}
{{- fail (printf "%s.terminationGracePeriodSeconds: this probe stops nothing: remove it" .at) }}
{{- end }}
{{- else if gt (include "laravel.or" (list .probe.successThreshold 1) | atoi) 1 }}
{{- fail (printf "%s.successThreshold: only a readinessProbe can ask for more than 1: remove it" .at) }}
{{- end }}
{{- end -}}

{{/* Wants at, hook, and port as checkEntries has it. */}}
{{- define "laravel.checkHook" -}}
{{- if hasKey .hook "httpGet" }}
{{- if and .port (not (hasKey .hook.httpGet "port")) }}
{{- fail (printf "%s: httpGet has no port: %s" .at .port) }}
{{- end }}
{{- end }}
{{- if and (hasKey .hook "sleep") (hasKey .hook "timeoutSeconds") }}
{{- if gt (int .hook.sleep.seconds) (int .hook.timeoutSeconds) }}
{{- fail (printf "%s: it sleeps for %d s, and timeoutSeconds is %d: raise that, or leave it out"
      .at (int .hook.sleep.seconds) (int .hook.timeoutSeconds)) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Wants at and logging. */}}
{{- define "laravel.checkLines" -}}
{{- $at := .at -}}
{{- $logging := .logging | default dict -}}
{{- if hasKey $logging "maxLineBytes" }}
{{- $units := dict
      "" 1 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776
      "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 -}}
{{- $text := include "laravel.text" $logging.maxLineBytes -}}
{{- $bytes := mulf (regexFind "^[0-9.]+" $text | float64) (get $units (regexFind "[A-Za-z]*$" $text)) | int64 -}}
{{- if or (lt $bytes 1024) (gt $bytes 16777216) }}
{{- fail (printf "%s.maxLineBytes: %s is not from 1Ki to 16Mi" $at $text) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A duration of a ProcessSet, such as `1m30s`, in milliseconds. */}}
{{- define "laravel.ms" -}}
{{- $units := dict "h" 3600000 "m" 60000 "s" 1000 "ms" 1 -}}
{{- $all := 0 -}}
{{- range regexFindAll "[0-9]+[a-z]+" . -1 }}
{{- $all = add $all (mul (regexFind "[0-9]+" . | atoi) (get $units (regexFind "[a-z]+" .))) -}}
{{- end -}}
{{- $all -}}
{{- end -}}
