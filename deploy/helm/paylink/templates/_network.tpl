{{- define "paylink.egress" -}}
- ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
- ports: # brokers, gateway, registry
    {{- range include "paylink.ports" . | fromJsonArray }}
    - {port: {{ int . }}, protocol: TCP}
    {{- end }}
{{- with .Values.networkPolicy.egress }}
{{ toYaml . }}
{{- end }}
{{- end }}
