"""What compose and Kubernetes set for the edge; the laptop's settings are those of scripts/stack."""

ENVIRONMENTS = {
    "compose": {"NGINX_FRONTEND": "frontend:5000"},
    "kubernetes": {
        "NGINX_FRONTEND": "frontend.tally.svc.cluster.local:5000",
        "NGINX_TRUSTED_PROXIES": "10.0.0.0/8 192.168.0.0/16",
    },
    "several frontends": {"NGINX_FRONTEND": "frontend-1:5000 frontend-2:5000"},
    "without limits": {"NGINX_FRONTEND": "frontend:5000", "NGINX_RATE": "0", "NGINX_CONNECTIONS": "0"},
}
