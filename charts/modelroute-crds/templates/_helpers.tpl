{{/* Labels of an object: the chart's own win over extraLabels. */}}
{{- define "modelroute-crds.labels" -}}
{{- $own := dict
  "app.kubernetes.io/name" "modelroute-crds"
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_") -}}
{{- toYaml (merge $own (default dict .Values.extraLabels)) -}}
{{- end -}}

{{/* Annotations of a definition. Takes root and own: those that crds/ gives it, which win over the values. */}}
{{- define "modelroute-crds.annotations" -}}
{{- $own := .own -}}
{{- if .root.Values.keep -}}
{{- $own = merge $own (dict "helm.sh/resource-policy" "keep") -}}
{{- end -}}
{{- toYaml (merge $own (default dict .root.Values.annotations)) -}}
{{- end -}}
