{{/* Names, labels, the image. */}}

{{/* Cut so that the names of Leases and of the Service stay labels. A release's name may have dots, a Service's not. */}}
{{- define "laravel.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := .Values.fullnameOverride -}}
{{- if not $full -}}
{{- $full = contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- end -}}
{{- $full | replace "." "-" | trunc 40 | trimAll "-" -}}
{{- end -}}

{{/* With a component: the pods of the application and those of the migration are never mixed up. */}}
{{- define "laravel.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Of pods: nothing that changes without them. Wants root, component and, for more of them, more. */}}
{{- define "laravel.podLabels" -}}
{{ include "laravel.selector" . }}
{{- with .root.Values.image.tag }}
app.kubernetes.io/version: {{ include "laravel.text" . | replace "+" "_" | trunc 63 | trimAll "-_." | quote }}
{{- end }}
{{- $labels := dict -}}
{{- range list .root.Values.commonLabels .more }}
{{- range $name, $value := . }}{{ $_ := set $labels $name $value }}{{ end -}}
{{- end }}
{{- with $labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "laravel.labels" -}}
{{ include "laravel.podLabels" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimAll "-_." }}
{{- end -}}

{{- define "laravel.metadata" -}}
name: {{ .name | default (include "laravel.fullname" .root) | quote }}
namespace: {{ .root.Release.Namespace | quote }}
labels:
  {{- include "laravel.labels" (dict "root" .root "component" (.component | default "app")) | trim | nindent 2 }}
{{- end -}}

{{- define "laravel.serviceAccount" -}}
{{- $made := .Values.serviceAccount.create | ternary (include "laravel.fullname" .) "default" -}}
{{- .Values.serviceAccount.name | default $made -}}
{{- end -}}

{{- define "laravel.image" -}}
{{- with .Values.image -}}
{{- if not .repository }}
{{- fail "image.repository: which image? It is the one of your application, with podinit in it" }}
{{- end }}
{{- if not (or .tag .digest) }}
{{- fail "image.tag: which version of the image? Give its tag, or image.digest" }}
{{- end }}
{{- .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ include "laravel.text" .tag }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* Whether there is a Service. */}}
{{- define "laravel.serves" -}}
{{- if or .Values.web.enabled .Values.service.extraPorts }}yes{{ end -}}
{{- end -}}

{{/* A path of the application. */}}
{{- define "laravel.path" -}}
{{- hasPrefix "/" .path | ternary .path (printf "%s/%s" (trimSuffix "/" .root.Values.app.path) .path) -}}
{{- end -}}

{{/* Numbers come as floating-point ones out of values, and 1000000 would be 1e+06. */}}
{{- define "laravel.text" -}}
{{- if kindIs "float64" . }}{{ regexReplaceAll "\\.?0+$" (printf "%.3f" .) "" }}{{ else }}{{ toString . }}{{ end -}}
{{- end -}}

{{/* Environment variables of the application, for all of its containers. */}}
{{- define "laravel.env" -}}
{{- $times := include "laravel.times" . | fromYaml -}}
{{- /* podinit has it from there; a file would be in a directory that ends with the pod. */ -}}
{{- $env := dict "LOG_CHANNEL" "stderr" -}}
{{- if $times.job }}
{{- /* A job that takes longer is handed out a second time. config/queue.php of Laravel 11 and later asks for it. */ -}}
{{- $retry := max 90 (add 30 $times.job) -}}
{{- range list "DB_QUEUE_RETRY_AFTER" "REDIS_QUEUE_RETRY_AFTER" "BEANSTALKD_QUEUE_RETRY_AFTER" }}
{{- $_ := set $env . $retry -}}
{{- end }}
{{- end }}
{{- if .Values.redis.enabled }}
{{- $_ := set $env "REDIS_HOST" "127.0.0.1" -}}
{{- $_ := set $env "REDIS_PORT" "6379" -}}
{{- end }}
{{- /* No merge: it would take an empty value for none. */ -}}
{{- range $name, $value := .Values.env }}{{ $_ := set $env $name $value }}{{ end }}
{{- /* In a value the kubelet expands `$(NAME)` of what stands before it, and of nothing else. */ -}}
{{- $plain := dict -}}
{{- range $name, $value := $env }}
{{- if kindIs "map" $value }}
- {{ merge (dict "name" $name) $value | toJson }}
{{- else }}
{{- $_ := set $plain $name (include "laravel.text" $value) -}}
{{- end }}
{{- end }}
{{- /* Each round gives those that ask for nobody who is left. */ -}}
{{- range $env }}
{{- $next := list -}}
{{- range $name, $value := $plain }}
{{- $waits := false -}}
{{- /* `$$` is a dollar. */ -}}
{{- range regexFindAll "\\$\\([^)]+\\)" ($value | replace "$$" "") -1 }}
{{- $other := . | trimPrefix "$(" | trimSuffix ")" -}}
{{- $waits = or $waits (and (ne $other $name) (hasKey $plain $other)) -}}
{{- end }}
{{- if not $waits }}{{ $next = append $next $name }}{{ end -}}
{{- end }}
{{- range $next }}
- {name: {{ . | quote }}, value: {{ get $plain . | quote }}}
{{- $_ := unset $plain . -}}
{{- end }}
{{- end }}
{{- with $plain }}
{{- fail (printf "env: %s would wait for each other's $(NAME) for ever: write $$(NAME) for the text itself"
      (keys . | sortAlpha | join ", ")) }}
{{- end }}
{{- end -}}

{{/* Directories that can be written. */}}
{{- define "laravel.writableVolumes" -}}
{{- range $name, $at := .Values.writable }}
{{- with $at }}
- name: {{ $name | quote }}
  emptyDir: {{ omit . "path" | toJson }}
{{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "laravel.writableMounts" -}}
{{- $root := . -}}
{{- range $name, $at := .Values.writable }}
{{- with $at }}
- {name: {{ $name | quote }}, mountPath: {{ include "laravel.path" (dict "root" $root "path" .path) | quote }}}
{{- end }}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* `restricted`, unless the values say otherwise; without what is null there. */}}
{{- define "laravel.security" -}}
{{- range $key, $value := . }}
{{- if not (kindIs "invalid" $value) }}
{{ $key }}: {{ toJson $value }}
{{- end }}
{{- end }}
{{- end -}}
