{{/* What the operator may do in each namespace that it looks after. A comment per rule: why. */}}
{{- define "modelroute.namespacedRules" -}}
# Reads the routes and gateways that people write.
- apiGroups: [modelroute.dev]
  resources: [modelroutes, modelgateways]
  verbs: [get, list, watch]
# Makes a namespace's gateway for its first route, and removes it when no route is left.
- apiGroups: [modelroute.dev]
  resources: [modelgateways]
  verbs: [create, delete]
# Says in the status what became of them.
- apiGroups: [modelroute.dev]
  resources: [modelroutes/status, modelgateways/status]
  verbs: [get, patch, update]
# Objects of a gateway name it as the owner that is not to go before them: some API servers ask for this right then.
- apiGroups: [modelroute.dev]
  resources: [modelgateways/finalizers]
  verbs: [update]
# A gateway's Service, account, config and credentials; and reads the Services, CAs and keys that routes name.
- apiGroups: ['']
  resources: [services, serviceaccounts, configmaps, secrets]
  verbs: [get, list, watch, create, patch, update, delete]
# A gateway's fleet of proxies.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, update, delete]
# Who may call a gateway.
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, update, delete]
# Keeps drained nodes from taking all proxies of a gateway at once.
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, update, delete]
# A gateway's autoscaling.
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, update, delete]
# Lets the proxies of a gateway read their config, their credentials and the endpoints of their backends: nothing that this list does not hold.
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [get, list, watch, create, patch, update, delete]
# Counts the endpoints of backends, and finds the proxies to ask what they have loaded; what is passed on to the proxies has to be held.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
# Tells on the objects what changed and why.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* What it may do besides where it looks after the whole cluster. */}}
{{- define "modelroute.clusterRules" -}}
# Which namespaces a gateway lets in, by their labels.
- apiGroups: ['']
  resources: [namespaces]
  verbs: [get, list, watch]
# Waits for definitions that are as new as it is, and says so.
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  resourceNames: [modelroutes.modelroute.dev, modelgateways.modelroute.dev]
  verbs: [get]
{{- end -}}

{{- define "modelroute.subjects" -}}
- kind: ServiceAccount
  name: {{ include "modelroute.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
