{{/* What the schema of the values cannot say. */}}
{{- define "paylink.validate" -}}
{{- $v := .Values }}
{{- if not $v.config.kafka_brokers }}
{{- fail "config.kafka_brokers is required: some of the brokers, such as [broker-1:9092, broker-2:9092]" }}
{{- end }}
{{- if $v.merchants.secret }}
{{- if or $v.files.merchant_secret_file $v.config.merchant_secret_file }}
{{- fail "merchants.secret excludes merchant_secret_file: write the secret into the merchants file" }}
{{- end }}
{{- else if not (or $v.files.merchants_file $v.config.merchants_file) }}
{{- if not $v.config.merchant_id }}
{{- fail "config.merchant_id is required, unless merchants.secret names a Secret with the merchants file" }}
{{- end }}
{{- if not (or $v.files.merchant_secret_file $v.config.merchant_secret_file) }}
{{- fail "files.merchant_secret_file is required, such as {secret: paylink, key: merchant}" }}
{{- end }}
{{- end }}
{{- range $key, $_ := $v.files }}
{{- if hasKey $v.config $key }}{{ fail (printf "files.%s and config.%s exclude each other" $key $key) }}{{ end }}
{{- end }}
{{- if and $v.merchants.secret (or $v.files.merchants_file $v.config.merchants_file) }}
{{- fail "merchants.secret and merchants_file exclude each other" }}
{{- end }}
{{- if and $v.serviceMonitor.enabled $v.networkPolicy.enabled (not $v.networkPolicy.from) }}
{{- fail "networkPolicy.from must say where Prometheus is: with serviceMonitor.enabled and an empty list nobody can scrape" }}
{{- end }}
{{- if $v.keda.enabled }}
{{- if not $v.keda.serverAddress }}{{ fail "keda.serverAddress is required with keda.enabled" }}{{ end }}
{{- if gt (int $v.keda.minReplicas) (int $v.keda.maxReplicas) }}{{ fail "keda.minReplicas is above keda.maxReplicas" }}{{ end }}
{{- $partitions := $v.config.topic_partitions | default 12 | int }}
{{- if gt (int $v.keda.maxReplicas) $partitions }}
{{- fail (printf "keda.maxReplicas is above config.topic_partitions (%d): more pods than partitions would idle" $partitions) }}
{{- end }}
{{- end }}
{{- end }}

{{/* All settings as a dictionary: config, where the files are mounted, and the address. */}}
{{- define "paylink.settings" -}}
{{- $all := merge (dict "admin_addr" (printf ":%d" (int .Values.port))) .Values.config }}
{{- range $key, $_ := .Values.files }}{{ $_ := set $all $key (printf "/etc/paylink/files/%s" $key) }}{{ end }}
{{- with .Values.merchants }}{{ if .secret }}{{ $_ := set $all "merchants_file" (printf "/etc/paylink/merchants/%s" .key) }}{{ end }}{{ end }}
{{- toJson $all }}
{{- end }}

{{/* The settings file. Values are as they were written: no 1e+06. */}}
{{- define "paylink.settingsFile" -}}
{{- range $key, $value := include "paylink.settings" . | fromJson -}}
{{ $key }}: {{ if kindIs "float64" $value }}{{ int64 $value }}{{ else }}{{ toRawJson $value }}{{ end }}
{{ end }}
{{- end }}

{{/* Changes with each setting that a running service does not take up. */}}
{{- define "paylink.restart" -}}
{{- $all := include "paylink.settings" . | fromJson }}
{{- range .Files.Get "live.json" | fromJsonArray }}{{ $_ := unset $all . }}{{ end }}
{{- toJson $all | sha256sum }}
{{- end }}

{{/* The drain timeout and 15 s, in whole seconds. */}}
{{- define "paylink.grace" -}}
{{- $then := toDate "2006-01-02" "2000-01-01" }}
{{- $end := mustDateModify .Values.config.drain_timeout $then | mustDateModify "999ms" }}
{{- add (sub (unixEpoch $end) (unixEpoch $then)) 15 }}
{{- end }}

{{/* TCP ports that the settings name, each once. */}}
{{- define "paylink.ports" -}}
{{- $ports := list }}
{{- $brokers := .Values.config.kafka_brokers }}
{{- if kindIs "string" $brokers }}{{ $brokers = splitList "," $brokers }}{{ end }}
{{- range $brokers }}{{ $ports = append $ports (trimAll ": " (regexFind ":[0-9]+ *$" .) | int) }}{{ end }}
{{- range .Values.networkPolicy.kafkaPorts }}{{ $ports = append $ports (int .) }}{{ end }}
{{- range list (.Values.config.gateway_url | default "https://") .Values.config.schema_registry_url }}
{{- with . }}
{{- $url := urlParse . }}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" }}
{{- $ports = append $ports ($port | default (eq $url.scheme "http" | ternary 80 443) | int) }}
{{- end }}
{{- end }}
{{- toJson (uniq $ports) }}
{{- end }}
