{{/*
Refuses what `podinit check --grace` would refuse: a chain of the stop that is longer than its time, dependencies that cannot
be met, names that are taken twice, entries that say two things. Wants root and the spec.
*/}}
{{- define "laravel.check" -}}
{{- include "laravel.refuse" . -}}
{{- include "laravel.checkTimes" . -}}
{{- $on := list -}}
{{- range .spec.processes }}{{ if ne (toString .enabled) "false" }}{{ $on = append $on .name }}{{ end }}{{ end -}}
{{- if not $on }}
{{- fail "there is nothing to run: web, queues, horizon, scheduler and extraProcesses are all off" }}
{{- end }}
{{- include "laravel.checkSpec" . -}}
{{- include "laravel.checkChain" . -}}
{{- end -}}

{{/* What needs no times: of the migration's Job, too. */}}
{{- define "laravel.checkSpec" -}}
{{- include "laravel.checkNames" . -}}
{{- include "laravel.checkDepends" . -}}
{{- include "laravel.checkInits" . -}}
{{- include "laravel.checkEntries" . -}}
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

{{/* Names are unique, and different from those of all replicas: `NAME-0` and so on, also those that a scale could make. */}}
{{- define "laravel.checkNames" -}}
{{- $known := dict -}}
{{- range concat (.spec.initProcesses | default list) (.spec.processes | default list) (.spec.sidecars | default list) }}
{{- if hasKey $known .name }}
{{- fail (printf "the name `%s` is taken twice; names are unique over queues, extraProcesses, extraInitProcesses, sidecars and %s"
      .name "what the chart makes") }}
{{- end }}
{{- $_ := set $known .name true -}}
{{- end }}
{{- $processes := dict -}}
{{- range .spec.processes }}{{ $_ := set $processes .name . }}{{ end -}}
{{- range $name := keys $known | sortAlpha }}
{{- $index := regexFind "-(0|[1-9][0-9]{0,2})$" $name -}}
{{- $of := trimSuffix $index $name -}}
{{- if and $index (hasKey $processes $of) }}
{{- $process := get $processes $of -}}
{{- /* Without maxReplicas a scale may ask for 1000. */ -}}
{{- $most := max (include "laravel.or" (list $process.maxReplicas 1000)) (include "laravel.or" (list $process.replicas 1)) -}}
{{- if lt (trimPrefix "-" $index | atoi) (int $most) }}
{{- fail (printf "the name `%s` is also what a replica of `%s` is called: rename one of them" $name $of) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Who waits for whom: processes for processes, init processes for init processes. */}}
{{- define "laravel.checkDepends" -}}
{{- $inits := .spec.initProcesses | default list -}}
{{- $processes := .spec.processes | default list -}}
{{- $never := dict -}}
{{- range .spec.sidecars }}
{{- $_ := set $never .name "which is a sidecar: everything starts after those anyway, so remove that entry" -}}
{{- end }}
{{- $others := deepCopy $never -}}
{{- range $inits }}
{{- $_ := set $others .name "which is an init process: processes start after those anyway, so remove that entry" -}}
{{- end }}
{{- include "laravel.checkDependsOn" (dict "entries" $processes "what" "process" "others" $others "gone" dict) -}}
{{- range $processes }}
{{- $_ := set $never .name "which is no init process, and starts after all of those: remove that entry" -}}
{{- end }}
{{- $gone := dict -}}
{{- if and .root.Values.migrate.enabled (not (include "laravel.migrateInPod" .root)) }}
{{- $_ := set $gone "migrate" ": the migration is a Job in mode File, so remove that entry" -}}
{{- end }}
{{- include "laravel.checkDependsOn" (dict "entries" $inits "what" "init process" "others" $never "gone" $gone) -}}
{{- end -}}

{{/* Wants entries of a kind, what that is, others that they cannot wait for, and what to say of names that are gone. */}}
{{- define "laravel.checkDependsOn" -}}
{{- $entries := dict -}}
{{- $on := list -}}
{{- range .entries }}
{{- $_ := set $entries .name . -}}
{{- if ne (toString .enabled) "false" }}{{ $on = append $on .name }}{{ end -}}
{{- end }}
{{- range $name, $entry := $entries }}
{{- $seen := list -}}
{{- range $entry.dependsOn }}
{{- if eq .name $name }}{{ fail (printf "`%s` depends on itself: remove that entry" $name) }}{{ end -}}
{{- if has .name $seen }}{{ fail (printf "`%s` depends on `%s` twice: remove one of the entries" $name .name) }}{{ end -}}
{{- $seen = append $seen .name -}}
{{- if hasKey $.others .name }}{{ fail (printf "`%s` depends on `%s`, %s" $name .name (get $.others .name)) }}{{ end -}}
{{- $other := get $entries .name | default dict -}}
{{- if not (or $other .optional) }}
{{- fail (printf "`%s` depends on `%s`, and there is no such %s%s" $name .name $.what (get $.gone .name)) }}
{{- end }}
{{- if and $other (has $name $on) }}
{{- if not (or (has .name $on) .optional) }}
{{- fail (printf "`%s` depends on `%s`, which is not enabled: say `optional: true` to start without it" $name .name) }}
{{- end }}
{{- $ends := has (.condition | default "Ready") (list "Completed" "Exited") -}}
{{- if and (eq $.what "process") $ends (has .name $on) (eq ($other.restartPolicy | default "Always") "Always") }}
{{- fail (printf "`%s` waits for `%s` to be %s, and its restartPolicy is Always" $name .name .condition) }}
{{- end }}
{{- end }}
{{- if and (eq ($other.traffic | default "Serving") "Background") (ne ($entry.traffic | default "Serving") "Background") }}
{{- fail (printf "`%s` is Serving and depends on `%s`, which is Background and stops first" $name .name) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Init processes start one after the other; one with a dependsOn waits for those instead. A cycle would never start. */}}
{{- define "laravel.checkInits" -}}
{{- $on := list -}}
{{- $names := list -}}
{{- range .spec.initProcesses }}
{{- if ne (toString .enabled) "false" }}{{ $on = append $on . }}{{ $names = append $names .name }}{{ end -}}
{{- end }}
{{- $waits := dict -}}
{{- $before := list -}}
{{- range $on }}
{{- $for := .dependsOn | empty | ternary $before list -}}
{{- range .dependsOn }}{{ if has .name $names }}{{ $for = append $for .name }}{{ end }}{{ end -}}
{{- $_ := set $waits .name $for -}}
{{- $before = list .name -}}
{{- end }}
{{- /* Each round starts who waits for nobody that is left. */ -}}
{{- range $on }}
{{- range $name, $for := $waits }}
{{- $left := false -}}
{{- range $for }}{{ $left = or $left (hasKey $waits .) }}{{ end -}}
{{- if not $left }}{{ $_ := unset $waits $name }}{{ end -}}
{{- end }}
{{- end }}
{{- if $waits }}
{{- fail (printf "extraInitProcesses: `%s` would wait for each other for ever (%s): change their order, or what they depend on"
      (keys $waits | sortAlpha | join "`, `") "one without dependsOn waits for the one before it") }}
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
