{{/* Refuses values that would be taken and could never work. Wants root and the spec. What is left for `podinit check` is rare. */}}
{{- define "laravel.refuse" -}}
{{- include "laravel.refusePorts" .root -}}
{{- include "laravel.refuseMounts" .root -}}
{{- include "laravel.refuseVolumes" .root -}}
{{- include "laravel.refuseOwn" .root -}}
{{- with .root.Values }}
{{- $surge := .deployment.maxSurge | toString | trimSuffix "%" | int -}}
{{- $fewer := .deployment.maxUnavailable | toString | trimSuffix "%" | int -}}
{{- if not (or $surge $fewer) }}
{{- fail "deployment: maxSurge and maxUnavailable are both 0, so no pod could ever be replaced" }}
{{- end }}
{{- if and .podDisruptionBudget.enabled (not (.podDisruptionBudget.maxUnavailable | toString | trimSuffix "%" | int)) }}
{{- fail (printf "podDisruptionBudget.maxUnavailable: with 0 no node that has one of the pods could ever be drained: %s"
      "give 1 at least, or set podDisruptionBudget.enabled to false") }}
{{- end }}
{{- range $field := list "nodePort" "externalTrafficPolicy" }}
{{- if and (eq $.root.Values.service.type "ClusterIP") (index $.root.Values.service $field) }}
{{- fail (printf "service.%s: a ClusterIP has none; service.type NodePort or LoadBalancer has" $field) }}
{{- end }}
{{- end }}
{{- $account := .serviceAccount -}}
{{- if and (eq .mode "ProcessSet") .rbac.create (not (or $account.create $account.name)) }}
{{- fail (printf "serviceAccount.name: the Role would be bound to the namespace's `default`, which other pods have, too: %s"
      "name one, or leave serviceAccount.create on") }}
{{- end }}
{{- $token := list -}}
{{- range .extraVolumeMounts }}
{{- if hasPrefix "/var/run/secrets/kubernetes.io/serviceaccount" .mountPath }}{{ $token = append $token . }}{{ end }}
{{- end }}
{{- if and (eq .mode "ProcessSet") (eq (toString .serviceAccount.automount) "false") (not $token) }}
{{- fail (printf "serviceAccount.automount: podinit needs a token in mode ProcessSet. Leave it null, or mount one at %s"
      "/var/run/secrets/kubernetes.io/serviceaccount (extraVolumeMounts)") }}
{{- end }}
{{- end }}
{{- range $kind, $most := dict "initProcesses" 32 "processes" 64 }}
{{- $count := index $.spec $kind | default list | len -}}
{{- if gt $count $most }}
{{- fail (printf "there are %d %s, and %d at the most" $count (eq $kind "processes" | ternary "processes" "init processes") $most) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Nobody listens twice. */}}
{{- define "laravel.refusePorts" -}}
{{- $taken := dict -}}
{{- if .Values.web.enabled }}
{{- $_ := set $taken "9000" "the port of php-fpm" -}}
{{- $_ := set $taken "9001" "the port of php-fpm's status" -}}
{{- end }}
{{- if .Values.redis.enabled }}{{ $_ := set $taken "6379" "the port of redis" }}{{ end -}}
{{- $admin := int .Values.adminPort -}}
{{- with get $taken (toString $admin) }}{{ fail (printf "adminPort: %d is %s" $admin .) }}{{ end -}}
{{- $_ := set $taken (toString $admin) "adminPort's, too" -}}
{{- if .Values.web.enabled }}
{{- $port := int .Values.web.port -}}
{{- with get $taken (toString $port) }}{{ fail (printf "web.port: %d is %s" $port .) }}{{ end -}}
{{- $_ := set $taken (toString $port) "web.port's, too" -}}
{{- end }}
{{- $names := .Values.web.enabled | ternary (list "http") list -}}
{{- /* Of the Service. */ -}}
{{- $ports := .Values.web.enabled | ternary (dict (int .Values.service.port | toString) "service.port") dict -}}
{{- range .Values.service.extraPorts }}
{{- $outer := int .port | toString -}}
{{- with get $ports $outer }}
{{- fail (printf "service.extraPorts: the port %s is that of %s, too: each has one of its own" $outer .) }}
{{- end }}
{{- $_ := set $ports $outer (printf "`%s`" .name) -}}
{{- $port := int (.targetPort | default .port) -}}
{{- with get $taken (toString $port) }}{{ fail (printf "service.extraPorts: %d is %s" $port .) }}{{ end -}}
{{- $_ := set $taken (toString $port) "there twice" -}}
{{- if has .name $names }}{{ fail (printf "service.extraPorts: the name `%s` is taken" .name) }}{{ end -}}
{{- $names = append $names .name -}}
{{- end }}
{{- if and .Values.ingress.enabled $names }}
{{- range .Values.ingress.hosts }}
{{- /* As ingress.yaml takes what is not said. */ -}}
{{- range .paths | default (list dict) }}
{{- $port := .port | default "http" -}}
{{- if not (has $port $names) }}
{{- fail (printf "ingress.hosts: the Service has no port `%s`: say which one in `paths: [{path: /, port: ...}]`; it has %s"
      $port (join ", " $names)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Each place is mounted once. */}}
{{- define "laravel.refuseMounts" -}}
{{- $root := . -}}
{{- $seen := dict -}}
{{- $mounts := list -}}
{{- range $name, $at := .Values.writable }}
{{- with $at }}
{{- $path := include "laravel.path" (dict "root" $root "path" .path) -}}
{{- $mounts = append $mounts (dict "value" (printf "writable.%s" $name) "path" $path) -}}
{{- end }}
{{- end }}
{{- range .Values.extraVolumeMounts }}
{{- $mounts = append $mounts (dict "value" "extraVolumeMounts" "path" .mountPath) -}}
{{- end }}
{{- range $mounts }}
{{- $path := clean .path -}}
{{- if or (has $path (list "/etc/podinit" "/run/podinit")) (hasPrefix "/etc/podinit/" $path) }}
{{- fail (printf "%s: %s is the chart's own" .value $path) }}
{{- end }}
{{- if hasKey $seen $path }}{{ fail (printf "%s: %s is mounted twice (%s)" .value $path (get $seen $path)) }}{{ end -}}
{{- $_ := set $seen $path .value -}}
{{- end }}
{{- end -}}

{{/* Each volume has a name of its own. */}}
{{- define "laravel.refuseVolumes" -}}
{{- $taken := dict "podinit" "the chart's own: take another" "run" "the chart's own: take another" -}}
{{- range $name, $at := .Values.writable }}
{{- if $at }}{{ $_ := set $taken $name (printf "that of writable.%s: take another, or say `%s: null` there" $name $name) }}{{ end -}}
{{- end }}
{{- range .Values.extraVolumes }}
{{- $name := toString .name -}}
{{- with get $taken $name }}{{ fail (printf "extraVolumes: the name `%s` is %s" $name .) }}{{ end -}}
{{- $_ := set $taken $name "there twice: take another" -}}
{{- end }}
{{- end -}}

{{/* Processes of one's own. */}}
{{- define "laravel.refuseOwn" -}}
{{- $user := .Values.podSecurityContext.runAsUser -}}
{{- range concat .Values.extraInitProcesses .Values.extraProcesses }}
{{- $name := .name -}}
{{- $env := dict -}}
{{- range .env }}
{{- if hasKey $env .name }}{{ fail (printf "`%s` has the variable %s twice" $name .name) }}{{ end -}}
{{- $_ := set $env .name true -}}
{{- end }}
{{- $own := (get . "securityContext" | default dict).runAsUser -}}
{{- /* Only root may be somebody else; a name is known in the image alone. */ -}}
{{- if not (or (kindIs "string" $own) (kindIs "invalid" $own) (kindIs "invalid" $user)) }}
{{- if and (ne (int64 $own) (int64 $user)) (int64 $user) }}
{{- fail (printf "`%s` is to run as user %d, and the pod runs as %d (podSecurityContext.runAsUser), which may not become %s"
      $name (int64 $own) (int64 $user) "anybody else") }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
