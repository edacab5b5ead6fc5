{{/* The pod. Wants root, config (the ConfigMap's name) and revision. */}}
{{- define "laravel.pod" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $live := eq $values.mode "ProcessSet" -}}
metadata:
  labels:
    {{- include "laravel.podLabels" (dict "root" $root "component" "app" "more" $values.podLabels) | trim | nindent 4 }}
  annotations:
    kubectl.kubernetes.io/default-container: app
    {{- with $values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "laravel.serviceAccount" $root | quote }}
  {{- $automount := $values.serviceAccount.automount }}
  automountServiceAccountToken: {{ kindIs "invalid" $automount | ternary $live $automount }}
  # Laravel would take `REDIS_PORT` and the like of Services of the namespace for its own.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ int $values.gracePeriodSeconds }}
  {{- include "laravel.podCommon" $root | trim | nindent 2 }}
  {{- if $values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml $values.topologySpreadConstraints | nindent 4 }}
  {{- else if $values.topologyKeys }}
  topologySpreadConstraints:
    {{- range $values.topologyKeys }}
    - topologyKey: {{ . }}
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "laravel.selector" (dict "root" $root "component" "app") | nindent 10 }}
      matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
  {{- with $values.extraInitContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: app
      image: {{ include "laravel.image" $root | quote }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      command: {{ list $values.podinitPath | toJson }}
      {{- if not $live }}
      args: [-f, /etc/podinit/processset.yaml]
      {{- else if $values.processSet.fallback }}
      args: [--processset, {{ include "laravel.fullname" $root | quote }}, -f, /etc/podinit/processset.yaml]
      {{- else }}
      args: [--processset, {{ include "laravel.fullname" $root | quote }}]
      {{- end }}
      workingDir: {{ $values.app.path | quote }}
      env:
        # The kubelet's, said once more: it is not visible from inside.
        - {name: PODINIT_TERMINATION_GRACE_PERIOD_SECONDS, value: {{ int $values.gracePeriodSeconds | quote }}}
        {{- if ne (int $values.adminPort) 9480 }}
        - {name: PODINIT_ADMIN_ADDR, value: {{ printf ":%d" (int $values.adminPort) | quote }}}
        {{- end }}
        {{- if $live }}
        - {name: PODINIT_CONTAINER, value: app}
        - {name: PODINIT_POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: PODINIT_POD_UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
        - {name: PODINIT_REVISION, value: {{ .revision | quote }}}
        {{- end }}
        {{- include "laravel.env" $root | trim | nindent 8 }}
      {{- with $values.envFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        {{- if $values.web.enabled }}
        - {name: http, containerPort: {{ int $values.web.port }}}
        {{- end }}
        {{- range $values.service.extraPorts }}
        - {name: {{ .name | quote }}, containerPort: {{ int (.targetPort | default .port) }}}
        {{- end }}
        - {name: admin, containerPort: {{ int $values.adminPort }}}
      {{- include "laravel.probes" $root | trim | nindent 6 }}
      {{- if $values.preStopHook }}
      lifecycle:
        preStop:
          exec: {command: {{ list $values.podinitPath "prestop" | toJson }}}
      {{- end }}
      {{- with $values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- include "laravel.security" $values.securityContext | trim | nindent 8 }}
      volumeMounts:
        - {name: podinit, mountPath: /etc/podinit, readOnly: true}
        - {name: run, mountPath: /run/podinit}
        {{- include "laravel.writableMounts" $root | trim | nindent 8 }}
    {{- with $values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    - name: podinit
      configMap: {name: {{ .config | quote }}}
    # A few small files: the socket of `podinit prestop`, the sign that the pod drains, the last good spec.
    - name: run
      emptyDir: {medium: Memory, sizeLimit: 16Mi}
    {{- include "laravel.writableVolumes" $root | trim | nindent 4 }}
{{- end -}}

{{/* What the pods of the application, of the migration and of the test have in common. */}}
{{- define "laravel.podCommon" -}}
securityContext:
  {{- include "laravel.security" .Values.podSecurityContext | trim | nindent 2 }}
{{- range $field := list
      "imagePullSecrets" "nodeSelector" "affinity" "tolerations" "priorityClassName" "runtimeClassName" "hostAliases" "dnsConfig" }}
{{- with index $.Values $field }}
{{ $field }}: {{ toJson . }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
startup: once a second for startupSeconds. liveness: podinit's own. readiness: so often that three looks go into the drain:
a pod that is unready for the sake of a change has left the endpoints before it stops a process.
*/}}
{{- define "laravel.probes" -}}
{{- $probes := .Values.probes -}}
{{- $startup := dict
      "httpGet" (dict "path" "/startupz" "port" "admin")
      "periodSeconds" 1 "timeoutSeconds" 2 "failureThreshold" (int .Values.startupSeconds) -}}
{{- $liveness := dict
      "httpGet" (dict "path" "/livez" "port" "admin") "periodSeconds" 10 "timeoutSeconds" 3 "failureThreshold" 3 -}}
{{- $period := max 1 (min 5 (div (int .Values.drainSeconds) 3)) -}}
{{- $readiness := dict
      "httpGet" (dict "path" "/readyz" "port" "admin") "periodSeconds" $period "timeoutSeconds" 2 "failureThreshold" 1 -}}
{{- $readiness = mergeOverwrite $readiness (deepCopy $probes.readiness) -}}
{{- $notices := mul (int $readiness.periodSeconds) (int ($readiness.failureThreshold | default 3)) -}}
{{- if and (include "laravel.serves" .) (gt (int $notices) (max 1 (int .Values.drainSeconds))) }}
{{- fail (printf "probes.readiness: it needs %d s to fail (periodSeconds x failureThreshold), and the drain ends after %d s (%s)"
      $notices (int .Values.drainSeconds) "drainSeconds") }}
{{- end }}
startupProbe: {{ mergeOverwrite $startup (deepCopy $probes.startup) | toJson }}
livenessProbe: {{ mergeOverwrite $liveness (deepCopy $probes.liveness) | toJson }}
readinessProbe: {{ $readiness | toJson }}
{{- end -}}

{{/*
The number of pods. With autoscaling it is the number there is: left out, the API server would take 1 for a field that Helm had
given before. It is left out where it is not known (`helm template`, an installation), and where Helm applies on the server's
side and the autoscaler has the field already: it keeps it then, and a number of before would be a conflict or a step back.
*/}}
{{- define "laravel.replicas" -}}
{{- if not .Values.autoscaling.enabled }}{{ int .Values.replicaCount }}{{ else }}
{{- $live := lookup "apps/v1" "Deployment" .Release.Namespace (include "laravel.fullname" .) -}}
{{- $applied := false -}}
{{- $scaled := false -}}
{{- range ($live.metadata).managedFields }}
{{- if eq .operation "Apply" }}{{ $applied = or $applied (eq .manager "helm") }}{{ end -}}
{{- if eq (.subresource | default "") "scale" }}{{ $scaled = or $scaled (hasKey (get .fieldsV1 "f:spec" | default dict) "f:replicas") }}{{ end -}}
{{- end }}
{{- if and $live (not (and $applied $scaled)) }}
{{- max (int .Values.autoscaling.minReplicas) (min (int .Values.autoscaling.maxReplicas) (int $live.spec.replicas)) }}
{{- end }}
{{- end }}
{{- end -}}
