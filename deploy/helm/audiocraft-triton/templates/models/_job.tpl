{{/* The pod that prepares the models. */}}
{{- define "audiocraft.models.jobTemplate" -}}
metadata:
  labels: {{- include "audiocraft.selector" (list . "models") | nindent 4 }}
spec:
  {{- include "audiocraft.podSpec" . | nindent 2 }}
  restartPolicy: OnFailure
  {{- with .Values.triton.nodeSelector }}
  # Where Triton runs: a volume that only one node can have is then on the right one.
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.triton.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    {{- include "audiocraft.models.prepareContainer" . | nindent 4 }}
  volumes:
    {{- include "audiocraft.models.volume" . | nindent 4 }}
    {{- include "audiocraft.models.prepareVolumes" . | nindent 4 }}
{{- end -}}

{{/* A Job's pod can't be changed, so it is part of the name: a changed one is another Job. */}}
{{- define "audiocraft.models.jobName" -}}
{{ include "audiocraft.fullname" . }}-models-{{ include "audiocraft.models.jobTemplate" . | sha256sum | trunc 10 }}
{{- end -}}
