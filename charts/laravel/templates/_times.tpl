{{/*
All times of a stop, from gracePeriodSeconds and drainSeconds, as docs/stop.md has them: in milliseconds where their names
say so, else in whole seconds.

  kill     what the kubelet gives, less the tail and the finish: everything is dead by then
  request  nginx and php-fpm stop one after the other, each with a second more than the longest request
  wait     the longest job of a worker that says nothing of it; its grace has two seconds more
  job      the longest job of all; 0 without workers
  open     there is a worker that says nothing
*/}}
{{- define "laravel.times" -}}
{{- $grace := mul 1000 (int .Values.gracePeriodSeconds) -}}
{{- $tail := mul 1000 (include "laravel.or" (list .Values.tailSeconds (.Values.sidecars | empty | ternary 1 5))) -}}
{{- $finish := add 1000 (include "laravel.hooksMs" .Values.hooks.postStop) -}}
{{- $kill := sub $grace (add (min $tail (div $grace 6)) (min $finish (div $grace 4))) -}}
{{- $hooks := include "laravel.hooksMs" .Values.hooks.preStop | int -}}
{{- $drain := mul 1000 (int .Values.drainSeconds) -}}
{{- /* redis stops after all who need it. */ -}}
{{- $redis := .Values.redis.enabled | ternary 5 0 -}}
{{- $serving := sub (div (sub $kill (max $hooks $drain)) 1000) $redis -}}
{{- $wait := sub (div (sub $kill $hooks) 1000) (add $redis 2) -}}
{{- $timeouts := list -}}
{{- range include "laravel.queues" . | fromYaml }}{{ $timeouts = append $timeouts .timeout }}{{ end -}}
{{- if .Values.horizon.enabled }}{{ $timeouts = append $timeouts .Values.horizon.timeout }}{{ end -}}
{{- $job := 0 -}}
{{- $open := false -}}
{{- range $timeouts }}
{{- $job = max $job (include "laravel.or" (list . $wait)) -}}
{{- $open = or $open (kindIs "invalid" .) -}}
{{- end }}
killMs: {{ $kill }}
tailMs: {{ $tail }}
finishMs: {{ $finish }}
hooksMs: {{ $hooks }}
drainMs: {{ $drain }}
redis: {{ $redis }}
request: {{ include "laravel.or" (list .Values.web.requestSeconds (sub (div $serving 2) 1)) }}
wait: {{ $wait }}
job: {{ $job }}
open: {{ $open }}
{{- end -}}

{{/* A number, or another one where it is null. */}}
{{- define "laravel.or" -}}
{{- kindIs "invalid" (first .) | ternary (last .) (first .) | int -}}
{{- end -}}

{{/* How long hooks of a stop may take, one after the other: a sleep as long as it says, if it has no timeout. */}}
{{- define "laravel.hooksMs" -}}
{{- $all := 0 -}}
{{- range . }}
{{- $sleep := (get . "sleep" | default dict).seconds -}}
{{- $all = add $all (mul 1000 (include "laravel.or" (list .timeoutSeconds (include "laravel.or" (list $sleep 5))))) -}}
{{- end -}}
{{- $all -}}
{{- end -}}

{{/* The queues that are on, with what they do not say: only `default` has defaults in values.yaml. */}}
{{- define "laravel.queues" -}}
{{- range $name, $given := .Values.queues }}
{{- $queue := dict
      "enabled" true "connection" "" "queues" (list $name) "replicas" 1 "timeout" nil "tries" 3 "sleep" 3 "backoff" nil
      "maxJobs" 0 "maxTime" 0 "memory" 128 "args" list }}
{{- /* No merge: it would take 0 for nothing. */ -}}
{{- range $key, $value := $given }}{{ $_ := set $queue $key $value }}{{ end }}
{{- if and (kindIs "map" $given) $queue.enabled }}
{{ $name | quote }}: {{ toJson $queue }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The least gracePeriodSeconds that leaves so much for a stop. Wants times and ms. */}}
{{- define "laravel.least" -}}
{{- $tail := .times.tailMs -}}
{{- $finish := .times.finishMs -}}
{{- $least := 0 -}}
{{- $from := div .ms 1000 -}}
{{- range $grace := untilStep (int $from) (add $from (div (add $tail $finish) 1000) 2 | int) 1 }}
{{- $ms := mul 1000 $grace -}}
{{- $kill := sub $ms (add (min $tail (div $ms 6)) (min $finish (div $ms 4))) -}}
{{- if and (not $least) (ge (int $kill) (int $.ms)) }}{{ $least = $grace }}{{ end }}
{{- end }}
{{- $least -}}
{{- end -}}

{{/* A number of milliseconds in seconds, for people. */}}
{{- define "laravel.seconds" -}}
{{- $ms := int . -}}
{{- div $ms 1000 }}{{ with mod $ms 1000 }}{{ printf ".%03d" . | trimSuffix "0" | trimSuffix "0" }}{{ end }} s
{{- end -}}
