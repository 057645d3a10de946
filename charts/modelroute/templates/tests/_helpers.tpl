{{- define "modelroute.testSelector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: test
{{- end -}}

{{/* Labels and hook annotations of the test's objects. Takes the root and the weight: smaller ones come first. */}}
{{- define "modelroute.testMetadata" -}}
{{- $root := first . -}}
labels:
  {{- merge (include "modelroute.testSelector" $root | fromYaml) (include "modelroute.labels" $root | fromYaml) | toYaml | nindent 2 }}
annotations:
  helm.sh/hook: test
  helm.sh/hook-weight: {{ last . | toString | quote }}
  # A pod that failed stays until the next test, for its logs; everything else goes.
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
  helm.sh/hook-output-log-policy: hook-succeeded,hook-failed
{{- end -}}
