"""The server of ``clip2 serve`` as two replicas under Ray Serve, on one machine or a cluster.

    pip install "clip2[server,ray]" "ray[serve]"
    serve run examples.ray_serve:application            # http://127.0.0.1:8000/docs

CLIP2_MODEL names the model (default: mini-points). Ray spreads the requests and restarts a replica that dies. Live maps are off:
each replica would have its own.
"""

from __future__ import annotations

import os
from typing import Any

from ray import serve


def build_app() -> Any:
    """The app of one replica; called there, so that only replicas load the model."""
    import clip2
    from clip2.server import Limits, create_app

    model = clip2.load(os.environ.get("CLIP2_MODEL", "mini-points"))
    return create_app(model, limits=Limits(concurrent=1, max_maps=0))


application = serve.deployment(num_replicas=2, ray_actor_options={"num_cpus": 0.5}, max_ongoing_requests=64)(
    serve.ingress(build_app)()
).bind()

if __name__ == "__main__":
    serve.run(application, blocking=True)
