{{/* Refuses values that would be taken and could never work. Wants root and the spec. What is left for `podinit check` is rare. */}}
{{- define "laravel.refuse" -}}
{{- include "laravel.refusePorts" .root -}}
{{- include "laravel.refuseMounts" .root -}}
{{- include "laravel.refuseOwn" .root -}}
{{- with .root.Values }}
{{- $surge := .deployment.maxSurge | toString | trimSuffix "%" | int -}}
{{- $fewer := .deployment.maxUnavailable | toString | trimSuffix "%" | int -}}
{{- if not (or $surge $fewer) }}
{{- fail "deployment: maxSurge and maxUnavailable are both 0, so no pod could ever be replaced" }}
{{- end }}
{{- range $field := list "nodePort" "externalTrafficPolicy" }}
{{- if and (eq $.root.Values.service.type "ClusterIP") (index $.root.Values.service $field) }}
{{- fail (printf "service.%s: a ClusterIP has none; service.type NodePort or LoadBalancer has" $field) }}
{{- end }}
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
{{- range .Values.service.extraPorts }}
{{- $port := int (.targetPort | default .port) -}}
{{- with get $taken (toString $port) }}{{ fail (printf "service.extraPorts: %d is %s" $port .) }}{{ end -}}
{{- $_ := set $taken (toString $port) "there twice" -}}
{{- if has .name $names }}{{ fail (printf "service.extraPorts: the name `%s` is taken" .name) }}{{ end -}}
{{- $names = append $names .name -}}
{{- end }}
{{- range .Values.ingress.hosts }}
{{- range .paths }}
{{- if and .port (not (has .port $names)) }}{{ fail (printf "ingress.hosts: the Service has no port `%s`" .port) }}{{ end -}}
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
