{{/*
Refuses what `podinit check --grace` would refuse: a chain of the stop that is longer than its time, dependencies that cannot
be met, names that are taken twice. Wants root and the spec.
*/}}
{{- define "laravel.check" -}}
{{- include "laravel.refuse" . -}}
{{- include "laravel.checkTimes" . -}}
{{- include "laravel.checkNames" . -}}
{{- include "laravel.checkChain" . -}}
{{- end -}}

{{/* What the chart works out by itself must be something. */}}
{{- define "laravel.checkTimes" -}}
{{- $times := include "laravel.times" .root | fromYaml -}}
{{- $grace := int .root.Values.gracePeriodSeconds -}}
{{- $drain := int .root.Values.drainSeconds -}}
{{- $hooks := int $times.hooksMs -}}
{{- if gt $drain $grace }}
{{- fail (printf "drainSeconds: %d is more than gracePeriodSeconds, which is %d" $drain $grace) }}
{{- end }}
{{- if and .root.Values.web.enabled (lt (int $times.request) 1) }}
{{- $ms := add (max $hooks (int $times.drainMs)) (mul 1000 (add $times.redis 4)) -}}
{{- fail (printf "gracePeriodSeconds: %d leaves no time for requests after a drain of %d s; at least %s would, or lower drainSeconds"
      $grace $drain (include "laravel.least" (dict "times" $times "ms" $ms))) }}
{{- end }}
{{- if and $times.open (lt (int $times.wait) 1) }}
{{- $ms := add $hooks (mul 1000 (add $times.redis 3)) -}}
{{- fail (printf "gracePeriodSeconds: %d leaves no time for jobs; at least %s would"
      $grace (include "laravel.least" (dict "times" $times "ms" $ms))) }}
{{- end }}
{{- end -}}

{{- define "laravel.checkNames" -}}
{{- $on := list -}}
{{- range .spec.processes }}{{ if ne (toString .enabled) "false" }}{{ $on = append $on .name }}{{ end }}{{ end -}}
{{- if not $on }}
{{- fail "there is nothing to run: web, queues, horizon, scheduler and extraProcesses are all off" }}
{{- end }}
{{- $known := dict -}}
{{- range concat (.spec.initProcesses | default list) .spec.processes (.spec.sidecars | default list) }}
{{- if hasKey $known .name }}
{{- fail (printf "the name `%s` is taken twice; names are unique over queues, extraProcesses, extraInitProcesses, sidecars and %s"
      .name "what the chart makes") }}
{{- end }}
{{- $_ := set $known .name true -}}
{{- end }}
{{- $processes := dict -}}
{{- range .spec.processes }}{{ $_ := set $processes .name . }}{{ end -}}
{{- range $name, $process := $processes }}
{{- range $process.dependsOn }}
{{- $other := get $processes .name | default dict -}}
{{- if not (or $other .optional) }}
{{- fail (printf "`%s` depends on `%s`, and there is no such process" $name .name) }}
{{- end }}
{{- if and $other (has $name $on) }}
{{- if not (or (has .name $on) .optional) }}
{{- fail (printf "`%s` depends on `%s`, which is not enabled: say `optional: true` to start without it" $name .name) }}
{{- end }}
{{- $ends := has (.condition | default "Ready") (list "Completed" "Exited") -}}
{{- if and $ends (has .name $on) (eq ($other.restartPolicy | default "Always") "Always") }}
{{- fail (printf "`%s` waits for `%s` to be %s, and its restartPolicy is Always" $name .name .condition) }}
{{- end }}
{{- end }}
{{- if and (eq ($other.traffic | default "Serving") "Background") (ne ($process.traffic | default "Serving") "Background") }}
{{- fail (printf "`%s` is Serving and depends on `%s`, which is Background and stops first" $name .name) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
When each process is gone at the latest. Who depends on it is gone before, so each round takes in one link more of a chain;
what still moves after as many rounds as there are processes is a cycle.
*/}}
{{- define "laravel.checkChain" -}}
{{- $times := include "laravel.times" .root | fromYaml -}}
{{- $values := .root.Values -}}
{{- $hooks := int $times.hooksMs -}}
{{- $drain := int $times.drainMs -}}
{{- /* What comes first: for Background processes the hooks, for Serving ones the longer of hooks and drain. In words, too. */ -}}
{{- $first := dict "Background" $hooks "Serving" (max $hooks $drain | int) -}}
{{- $hooksText := gt $hooks 0 | ternary (printf "preStop hooks %s" (include "laravel.seconds" $hooks)) "" -}}
{{- $drainText := gt $drain 0 | ternary (printf "drain %s" (include "laravel.seconds" $drain)) "" -}}
{{- $firstText := dict "Background" $hooksText "Serving" (gt $hooks $drain | ternary $hooksText $drainText) -}}
{{- $processes := dict -}}
{{- range .spec.processes }}
{{- if ne (toString .enabled) "false" }}{{ $_ := set $processes .name . }}{{ end }}
{{- end -}}
{{- $gone := dict -}}
{{- $chain := dict -}}
{{- $moved := "" -}}
{{- range until (add1 (len $processes) | int) }}
{{- $moved = "" -}}
{{- range $name, $process := $processes }}
{{- $traffic := $process.traffic | default "Serving" -}}
{{- $start := get $first $traffic -}}
{{- $before := get $firstText $traffic -}}
{{- range $other := $processes }}
{{- range $other.dependsOn }}
{{- if and (eq .name $name) (gt (get $gone $other.name | default 0 | int) (int $start)) }}
{{- $start = get $gone $other.name -}}
{{- $before = get $chain $other.name -}}
{{- end }}
{{- end }}
{{- end }}
{{- /* Without a grace of its own it counts with 1 s. */ -}}
{{- $claim := mul 1000 (include "laravel.or" (list $process.terminationGracePeriodSeconds 1)) -}}
{{- with ($process.lifecycle).preStop }}{{ $claim = add $claim (include "laravel.hooksMs" (list .)) }}{{ end -}}
{{- if eq (toString $process.replicas) "0" }}{{ $claim = 0 }}{{ end -}}
{{- $end := add $start $claim | int -}}
{{- if ne $end (get $gone $name | default 0 | int) }}
{{- $moved = $name -}}
{{- $_ := set $gone $name $end -}}
{{- $link := printf "%s %s" $name (include "laravel.seconds" $claim) -}}
{{- $_ := set $chain $name (empty $before | ternary $link (printf "%s + %s" $before $link)) -}}
{{- end }}
{{- end }}
{{- end }}
{{- if $moved }}{{ fail (printf "dependsOn: `%s` depends on itself, by way of others" $moved) }}{{ end }}
{{- $most := 0 -}}
{{- $last := "" -}}
{{- range $name, $end := $gone }}
{{- if gt (int $end) (int $most) }}{{ $most = $end }}{{ $last = $name }}{{ end }}
{{- end }}
{{- if gt (int $most) (int $times.killMs) }}
{{- $needs := printf "the longest chain of the stop needs %s: %s" (include "laravel.seconds" $most) (get $chain $last) -}}
{{- $leaves := printf "%d leaves %s" (int $values.gracePeriodSeconds) (include "laravel.seconds" $times.killMs) -}}
{{- fail (printf "gracePeriodSeconds: %s; but %s. Raise gracePeriodSeconds to at least %s, or lower one of these (%s)"
      $needs $leaves (include "laravel.least" (dict "times" $times "ms" $most))
      "web.requestSeconds, the timeout of a queue or of horizon, a terminationGracePeriodSeconds") }}
{{- end }}
{{- end -}}
