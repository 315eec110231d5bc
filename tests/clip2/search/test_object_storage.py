"""An index at a URL of object storage."""

from __future__ import annotations

import pytest
from support.index_writers import SPACE, objects

from clip2 import Index, InputError


@pytest.mark.slow
def test_an_index_lives_in_a_bucket(monkeypatch):
    boto3 = pytest.importorskip("boto3")
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        for name, value in {
            "ACCESS_KEY_ID": "x",
            "SECRET_ACCESS_KEY": "y",
            "REGION": "us-east-1",
            "ENDPOINT": url,
            "ALLOW_HTTP": "true",
        }.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        boto3.client("s3", endpoint_url=url, region_name="us-east-1").create_bucket(Bucket="bucket")
        index = Index("s3://bucket/fleet")
        assert (index.add(objects(20), SPACE), index.add(objects(20), SPACE)) == (20, 0)
        again = Index("s3://bucket/fleet")
        assert len(again) == 20
        assert again.search(objects(20)[3].embedding, SPACE)[0].object.number == 3
        with pytest.raises(InputError, match="has vectors of ViT-B-32/openai"):
            again.add(objects(1), "ViT-B-16/openai")
    finally:
        server.stop()
