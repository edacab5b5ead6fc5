{{/* The configuration of nginx, php-fpm and redis. Their times are those of the stop. */}}

{{- define "laravel.nginx" -}}
{{- $times := include "laravel.times" . | fromYaml -}}
daemon off;
pid /tmp/nginx.pid;
error_log /dev/stderr warn;
worker_processes {{ int .Values.web.workerProcesses }};
# What keeps the workers after SIGQUIT (a WebSocket, a slow client) is cut then; below the process's grace.
worker_shutdown_timeout {{ $times.request }}s;

events {
    worker_connections 1024;
}

http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    access_log /dev/stdout;
    server_tokens off;
    sendfile on;
    client_max_body_size {{ .Values.web.clientMaxBodySize }};
    client_body_temp_path /tmp/nginx-body;
    proxy_temp_path /tmp/nginx-proxy;
    fastcgi_temp_path /tmp/nginx-fastcgi;
    uwsgi_temp_path /tmp/nginx-uwsgi;
    scgi_temp_path /tmp/nginx-scgi;
    {{- with .Values.web.extraHttpConfig }}
    {{- . | trim | nindent 4 }}
    {{- end }}

    server {
        listen {{ int .Values.web.port }};
        {{- if .Values.web.ipv6 }}
        listen [::]:{{ int .Values.web.port }};
        {{- end }}
        root {{ trimSuffix "/" .Values.app.path }}/public;

        # For nginx's own probes; PHP has no part in it.
        location = /nginx-health {
            access_log off;
            return 204;
        }

        # podinit makes this file as a stop begins. For as long as it still serves then, each answer ends its connection:
        # a client that keeps connections opens its next one elsewhere, instead of losing a request when nginx leaves.
        # That takes a location of its own, as keepalive_timeout is not allowed inside an `if`.
        error_page 418 = @drain;

        location / {
            if (-f /run/podinit/draining) {
                return 418;
            }
            try_files $uri /index.php$is_args$args;
        }

        location @drain {
            keepalive_timeout 0;
            try_files $uri /index.php$is_args$args;
        }

        location ~ /\.(?!well-known/) {
            return 404;
        }

        # PHP that is not index.php would be given out as text.
        location ~* \.(php|phtml|phar)(/|$) {
            return 404;
        }

        location = /index.php {
            # Through the locations above only.
            internal;
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME $realpath_root/index.php;
            fastcgi_param DOCUMENT_ROOT $realpath_root;
            # php-fpm ends a request that is too long first, and says which one it was.
            fastcgi_read_timeout {{ add1 $times.request }}s;
            fastcgi_pass 127.0.0.1:9000;
        }
        {{- with .Values.web.extraServerConfig }}
{{ "" }}
        {{- . | trim | nindent 8 }}
        {{- end }}
    }
}
{{- end -}}

{{- define "laravel.phpFpm" -}}
{{- $times := include "laravel.times" . | fromYaml -}}
[global]
daemonize = no
error_log = /proc/self/fd/2
; At its default of 0 the master gives its workers no time: requests in flight are reset within 20 ms of SIGQUIT.
process_control_timeout = {{ $times.request }}s
; A worker's line is cut into pieces of 1024 bytes otherwise, and a stack trace is longer.
log_limit = 65536

[www]
listen = 127.0.0.1:9000
listen.allowed_clients = 127.0.0.1
pm = static
pm.max_children = {{ int .Values.phpFpm.children }}
pm.max_requests = {{ int .Values.phpFpm.maxRequests }}
; No request needs longer than a stop has.
request_terminate_timeout = {{ $times.request }}s
ping.path = /ping
; The status is answered there by a worker beside the pool: also while everybody in it is busy.
pm.status_path = /status
pm.status_listen = 127.0.0.1:9001
; The environment is the application's configuration.
clear_env = no
catch_workers_output = yes
decorate_workers_output = no
php_admin_flag[log_errors] = on
php_admin_flag[display_errors] = off
; Unset it would be php-fpm's own log; this way a worker's message is one line without a prefix.
php_admin_value[error_log] = /proc/self/fd/2
; As much as nginx lets through (client_max_body_size). A php_admin_value of your own wins over it: of two of those the first one
; would.
php_value[post_max_size] = {{ .Values.web.clientMaxBodySize }}
php_value[upload_max_filesize] = {{ .Values.web.clientMaxBodySize }}
{{- with .Values.phpFpm.extraConfig }}
{{ trim . }}
{{- end }}
{{- end -}}

{{- define "laravel.redis" -}}
bind 127.0.0.1
port 6379
daemonize no
dir /tmp
save ""
logfile ""
always-show-logo no
{{- end -}}

{{/* What is mounted at /etc/podinit. Wants root and, if the spec is to be in it, processSet. */}}
{{- define "laravel.config" -}}
{{- if .root.Values.web.enabled }}
nginx.conf: |
  {{- include "laravel.nginx" .root | nindent 2 }}
php-fpm.conf: |
  {{- include "laravel.phpFpm" .root | nindent 2 }}
{{- end }}
{{- if .root.Values.redis.enabled }}
redis.conf: |
  {{- include "laravel.redis" .root | nindent 2 }}
{{- end }}
{{- with .processSet }}
processset.yaml: |
  apiVersion: podinit.dev/v1alpha1
  kind: ProcessSet
  metadata: {name: {{ include "laravel.fullname" $.root | quote }}}
  {{- . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
What of all this hangs together: the name of the ConfigMap is a hash of what is in it, so that a change is a rollout and pods
of before keep theirs. The revision is a hash of all that makes a pod new; the ConfigMap has it in it, so it goes by the pod
as it is without their names.
*/}}
{{- define "laravel.made" -}}
{{- $spec := include "laravel.spec" . -}}
{{- include "laravel.check" (dict "root" . "spec" (fromYaml $spec)) -}}
{{- $file := eq .Values.mode "File" -}}
{{- $inPod := or $file .Values.processSet.fallback -}}
{{- $revision := "" -}}
{{- if not $file -}}
{{- $config := include "laravel.config" (dict "root" . "processSet" ($inPod | ternary $spec "")) -}}
{{- $pod := include "laravel.pod" (dict "root" . "config" "" "revision" "") -}}
{{- $revision = .Values.processSet.revision | default (printf "%s%s" $config $pod | sha256sum | trunc 12) -}}
{{- end -}}
{{- $processSet := include "laravel.processSet" (dict "spec" $spec "revision" $revision) -}}
{{- $config := include "laravel.config" (dict "root" . "processSet" ($inPod | ternary $processSet "")) -}}
{{- $name := printf "%s-%s" (include "laravel.fullname" .) (sha256sum $config | trunc 10) -}}
{{- dict "revision" $revision "processSet" $processSet "config" $config "name" $name | toYaml -}}
{{- end -}}
