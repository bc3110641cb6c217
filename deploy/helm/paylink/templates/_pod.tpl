{{/* What the pods of the service and of the Job have in common; settings is the name of their ConfigMap. */}}
{{- define "paylink.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  {{- with .Values.user }}
  runAsUser: {{ int . }}
  runAsGroup: {{ int . }}
  fsGroup: {{ int . }}
  {{- end }}
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
volumes:
  - name: settings
    configMap: {name: {{ .settings }}}
  {{- if .Values.files }}
  - name: files
    projected:
      defaultMode: 0440
      sources:
        {{- range $key, $from := .Values.files }}
        - {{ hasKey $from "secret" | ternary "secret" "configMap" }}:
            name: {{ $from.secret | default $from.configMap | quote }}
            items: [{key: {{ $from.key | quote }}, path: {{ $key }}}]
        {{- end }}
  {{- end }}
  {{- with .Values.merchants.secret }}
  - name: merchants
    secret: {secretName: {{ . | quote }}, defaultMode: 0440}
  {{- end }}
  {{- with .Values.volumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "paylink.container" -}}
{{- with .Values.image -}}
image: {{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
imagePullPolicy: {{ .pullPolicy }}
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: settings, mountPath: /etc/paylink/settings, readOnly: true}
  {{- if .Values.files }}
  - {name: files, mountPath: /etc/paylink/files, readOnly: true}
  {{- end }}
  {{- if .Values.merchants.secret }}
  - {name: merchants, mountPath: /etc/paylink/merchants, readOnly: true}
  {{- end }}
  {{- with .Values.volumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
env:
  - {name: PAYLINK_CONFIG, value: /etc/paylink/settings/settings.yaml}
  {{- if .instance }}
  - {name: PAYLINK_KAFKA_GROUP_INSTANCE_ID, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
  {{- end }}
  {{- with .Values.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.resources }}
resources: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "paylink.probe" -}}
httpGet: {path: {{ .path }}, port: admin}
{{- with omit . "path" }}
{{ toYaml . }}
{{- end }}
{{- end }}
