# clip2 serve in a container: docker build -t clip2 . && docker run -p 8000:8000 -e CLIP2_TOKEN=secret clip2
# A model of your own: docker run -v /path/to/run:/model:ro … clip2 --model /model
FROM python:3.11-slim

# libusb and libgomp for Open3D and torch
RUN apt-get update && apt-get install -y --no-install-recommends libgl1 libgomp1 libusb-1.0-0 \
    && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir torch torchvision --index-url https://download.pytorch.org/whl/cpu

WORKDIR /src
COPY pyproject.toml setup.py README.md LICENSE ./
COPY clip2 clip2
COPY data_prep data_prep
RUN pip install --no-cache-dir ".[server]" && rm -rf /src

RUN useradd --create-home --uid 10001 clip2
USER 10001
WORKDIR /home/clip2
EXPOSE 8000
# Inside the container every address is its own; what is published decides who reaches it.
ENTRYPOINT ["clip2", "serve", "--host", "0.0.0.0"]
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/v2/health/ready')"]
