{{- define "paylink.name" -}}
{{- $name := .Release.Name }}
{{- if not (contains "paylink" $name) }}{{ $name = printf "%s-paylink" $name }}{{ end }}
{{- .Values.fullnameOverride | default $name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "paylink.account" -}}
{{- $own := "default" }}
{{- if .Values.serviceAccount.create }}{{ $own = include "paylink.name" . }}{{ end }}
{{- .Values.serviceAccount.name | default $own }}
{{- end }}

{{- define "paylink.labels" -}}
app.kubernetes.io/name: paylink
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | trimSuffix "-" | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The pods of the service, and not those of the Job. */}}
{{- define "paylink.selector" -}}
app.kubernetes.io/name: paylink
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: service
{{- end }}

{{- define "paylink.jobSelector" -}}
app.kubernetes.io/name: paylink
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: prepare
{{- end }}

{{- define "paylink.hook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
