{{/* Variables of the gateway's container, without secrets. */}}
{{- define "audiocraft.gateway.env" -}}
{{- $gateway := .Values.gateway -}}
{{- $env := dict
  "AUDIOCRAFT_GATEWAY_HOST" "0.0.0.0"
  "AUDIOCRAFT_GATEWAY_PORT" "8080"
  "AUDIOCRAFT_GATEWAY_TRITON" (printf "%s-triton-pods.%s.svc:8001" (include "audiocraft.fullname" .) .Release.Namespace)
  "AUDIOCRAFT_GATEWAY_ALLOWED_ORIGINS" (join "," $gateway.allowedOrigins)
  "AUDIOCRAFT_GATEWAY_MAX_AUDIO_SECONDS" (toString $gateway.maxAudioSeconds)
  "AUDIOCRAFT_GATEWAY_MAX_BODY_BYTES" (int64 $gateway.maxBodyBytes | toString)
  "AUDIOCRAFT_GATEWAY_STREAMS_PER_CLIENT" (int $gateway.streamsPerClient | toString)
  "AUDIOCRAFT_GATEWAY_RATE_LIMIT" $gateway.rateLimit
  "AUDIOCRAFT_GATEWAY_CALL_TIMEOUT" (toString $gateway.callTimeout)
  "AUDIOCRAFT_GATEWAY_DRAIN_SECONDS" (int .Values.drainSeconds | toString)
  "AUDIOCRAFT_GATEWAY_LOG_FORMAT" $gateway.logFormat
-}}
{{- if or $gateway.apiKeys.values $gateway.apiKeys.existingSecret -}}
{{- $_ := set $env "AUDIOCRAFT_GATEWAY_API_KEYS_FILE" (printf "/keys/%s" $gateway.apiKeys.key) -}}
{{- end -}}
{{- with $gateway.trustedProxies -}}
{{- $_ := set $env "AUDIOCRAFT_GATEWAY_TRUSTED_PROXIES" (join "," .) -}}
{{- end -}}
{{- mergeOverwrite $env $gateway.env | toYaml -}}
{{- end -}}

{{/* Public paths; /metrics, /livez and /readyz are not among them. */}}
{{- define "audiocraft.gateway.paths" -}}
- {type: Exact, path: /}
- {type: Prefix, path: /generate}
- {type: Exact, path: /encode}
- {type: Exact, path: /decode}
- {type: Exact, path: /analyze}
- {type: Exact, path: /health}
- {type: Prefix, path: /v1}
- {type: Prefix, path: /static}
- {type: Prefix, path: /docs}
- {type: Exact, path: /openapi.json}
{{- end -}}
