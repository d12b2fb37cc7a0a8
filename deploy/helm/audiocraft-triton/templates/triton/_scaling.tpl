{{/* Scaling behaviour of the HorizontalPodAutoscaler, and of the one that KEDA makes. */}}
{{- define "audiocraft.triton.scalingBehavior" -}}
{{- with .Values.triton.autoscaling.scaleUp -}}
scaleUp:
  stabilizationWindowSeconds: {{ .stabilizationWindowSeconds }}
  policies:
    - {type: Pods, value: {{ .pods }}, periodSeconds: {{ .periodSeconds }}}
    - {type: Percent, value: 100, periodSeconds: {{ .periodSeconds }}}
{{- end }}
{{- with .Values.triton.autoscaling.scaleDown }}
scaleDown:
  stabilizationWindowSeconds: {{ .stabilizationWindowSeconds }}
  policies:
    - {type: Pods, value: {{ .pods }}, periodSeconds: {{ .periodSeconds }}}
{{- end }}
{{- end -}}

{{/* Regular expression for this release's pods, because another release may share the namespace. */}}
{{- define "audiocraft.triton.podPattern" -}}
{{ include "audiocraft.fullname" . }}-triton-[a-z0-9]+-[a-z0-9]+
{{- end -}}
