{{/* Prefix of all names; short enough for a suffix and a pod's hash. */}}
{{- define "audiocraft.fullname" -}}
{{- $name := .Values.fullnameOverride -}}
{{- if not $name -}}
{{- $name = ternary .Release.Name (printf "%s-audiocraft" .Release.Name) (contains "audiocraft" .Release.Name) -}}
{{- end -}}
{{- $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Labels of one component's pods, which never change: (list . "triton"). */}}
{{- define "audiocraft.selector" -}}
{{- $top := index . 0 -}}
app.kubernetes.io/name: audiocraft-triton
app.kubernetes.io/instance: {{ $top.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* All labels of one component's objects: (list . "triton"). */}}
{{- define "audiocraft.labels" -}}
{{- $top := index . 0 -}}
{{ include "audiocraft.selector" . }}
app.kubernetes.io/version: {{ $top.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $top.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $top.Chart.Name $top.Chart.Version }}
{{- end -}}

{{/* An image's full name: (list . .Values.triton.image). */}}
{{- define "audiocraft.image" -}}
{{- $top := index . 0 -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default $top.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* Seconds until SIGKILL: the wait before SIGTERM, the drain, and 45 seconds in which tritonserver ends. */}}
{{- define "audiocraft.gracePeriod" -}}
{{- add .Values.preStopSeconds .Values.drainSeconds 45 -}}
{{- end -}}

{{/* Fields common to all pods of this chart. */}}
{{- define "audiocraft.podSpec" -}}
serviceAccountName: {{ include "audiocraft.fullname" . }}
automountServiceAccountToken: false
# Kubernetes' variables for Services would look like settings: AUDIOCRAFT_GATEWAY_PORT=tcp://…
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "audiocraft.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Scheduling of a component's pods: (list . "triton"). */}}
{{- define "audiocraft.scheduling" -}}
{{- $component := index . 1 -}}
{{- $values := index (index . 0).Values $component -}}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $values.topologySpread }}
topologySpreadConstraints:
  {{- range $values.topologySpread }}
  - topologyKey: {{ .topologyKey }}
    maxSkew: {{ .maxSkew }}
    whenUnsatisfiable: {{ .whenUnsatisfiable }}
    # Each rollout's pods are spread on their own, independent of the pods that they replace.
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels: {{- include "audiocraft.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* A rolling update's strategy: .Values.triton.strategy. */}}
{{- define "audiocraft.strategy" -}}
{{- if and (eq (toString .maxSurge) "0") (eq (toString .maxUnavailable) "0") -}}
{{- fail "strategy: maxSurge and maxUnavailable can't both be 0: no pod could ever be replaced" -}}
{{- end -}}
type: RollingUpdate
rollingUpdate:
  maxSurge: {{ .maxSurge }}
  maxUnavailable: {{ .maxUnavailable }}
{{- end -}}

{{/* Name of a Secret, the existing one or else the chart's: (list . .Values.triton.adminKey). */}}
{{- define "audiocraft.secretName" -}}
{{- (index . 1).existingSecret | default (printf "%s-keys" (include "audiocraft.fullname" (index . 0))) -}}
{{- end -}}

{{/* Egress rule of a NetworkPolicy for DNS. */}}
{{- define "audiocraft.dnsEgress" -}}
- to: {{- toYaml .Values.networkPolicy.dnsPeers | nindent 4 }}
  ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end -}}

{{/* gRPC methods allowed from outside: inference, health and metadata. */}}
{{- define "audiocraft.grpcMethods" -}}
[ServerLive, ServerReady, ServerMetadata, ModelReady, ModelMetadata, ModelInfer, ModelStreamInfer]
{{- end -}}
