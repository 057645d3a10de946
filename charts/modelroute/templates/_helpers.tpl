{{/* The name of the release's objects. A release called like the chart does not say it twice. */}}
{{- define "modelroute.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- default $full .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/*
The name of what stands outside the release's namespace: it says whose it is, so that two releases never meet, and its colons keep it
away from the names that the operator gives to the objects of a gateway.
*/}}
{{- define "modelroute.scopedName" -}}
{{- printf "modelroute-operator:%s:%s" .Release.Namespace (include "modelroute.fullname" .) -}}
{{- end -}}

{{/* What finds the operator's pods. A Deployment's selector cannot be changed, so no value is in it. */}}
{{- define "modelroute.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{/* Labels of any object: the chart's own win over extraLabels. */}}
{{- define "modelroute.labels" -}}
{{- $own := dict
  "app.kubernetes.io/name" .Chart.Name
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_") -}}
{{- toYaml (merge $own (default dict .Values.extraLabels)) -}}
{{- end -}}

{{/* Labels of what belongs to the operator alone: those of any object, and what finds its pods. */}}
{{- define "modelroute.operatorLabels" -}}
{{- toYaml (merge (include "modelroute.selector" . | fromYaml) (include "modelroute.labels" . | fromYaml)) -}}
{{- end -}}

{{- define "modelroute.podLabels" -}}
{{- toYaml (merge (include "modelroute.operatorLabels" . | fromYaml) (default dict .Values.podLabels)) -}}
{{- end -}}

{{- define "modelroute.serviceAccountName" -}}
{{- $own := .Values.serviceAccount.create | ternary (include "modelroute.fullname" .) "default" -}}
{{- default $own .Values.serviceAccount.name -}}
{{- end -}}

{{/* registry/repository@digest or registry/repository:tag */}}
{{- define "modelroute.image" -}}
{{- with .Values.image -}}
{{- $name := empty .registry | ternary .repository (printf "%s/%s" .registry .repository) -}}
{{- if .digest -}}
{{- printf "%s@%s" $name .digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A namespace that the operator looks after: for the test and the notes. */}}
{{- define "modelroute.someNamespace" -}}
{{- $all := .Values.watchNamespaces -}}
{{- or (empty $all) (has .Release.Namespace $all) | ternary .Release.Namespace (first (append $all "")) -}}
{{- end -}}

{{/* What restricted Pod Security asks of a container; the image's files belong to root and are only read. */}}
{{- define "modelroute.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "modelroute.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}
