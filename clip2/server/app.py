"""FastAPI application: routes of the server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from clip2.object_model import Description, ObjectModel
from clip2.recognition.proposals import Kind
from clip2.recognition.recognizer import Unknown
from clip2.server.edge import FACTS, REQUEST_ID, Edge, error_response
from clip2.server.engine import Engine, RecognizeOptions
from clip2.server.gate import Gate
from clip2.server.inference_protocol import MODEL, infer_answer, infer_inputs, model_metadata, server_metadata
from clip2.server.limits import ClientGoneError, Limits, Refusal
from clip2.server.maps import LiveMaps
from clip2.server.metrics import Metrics
from clip2.server.reference_page import reference_page
from clip2.server.uploads import CloudForm, Part, read_frame, read_frames, read_json
from clip2.teacher.text_source import TextSource
from clip2.version import __version__
from data_prep.errors import InputError
from data_prep.scans.formats.records import TooManyPointsError

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_SCAN_BODY = {
    "requestBody": {
        "required": True,
        "description": "A PLY, PCD or npz file (points, colors, intensity); bare float32 with `columns`; or a form with "
        "the fields color, depth, intrinsics, depth_scale and perhaps pose.",
        "content": {
            "application/octet-stream": _BINARY,
            "multipart/form-data": {"schema": {"type": "object"}},
        },
    }
}
_CLOUDS_BODY = {
    "requestBody": {
        "required": True,
        "description": "One object as a PLY, PCD or npz file or bare float32, or a form with one object per field.",
        "content": {
            "application/octet-stream": _BINARY,
            "multipart/form-data": {"schema": {"type": "object"}},
        },
    }
}
_JSON_BODY = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
}

Labels = Annotated[
    str | None, Query(description="Labels to choose from, separated by commas. Default: all of the model.")
]
Columns = Annotated[
    int | None,
    Query(
        ge=3, le=64, description="Float32 values per point, for a body without a header: 3 x y z, 6 + r g b."
    ),
]
Up = Annotated[str, Query(description="Axis of the cloud that points up: z, y, -y …")]
Scale = Annotated[float, Query(gt=0, description="Meters per unit of the cloud.")]
Brief = Annotated[bool, Query(description="Leave out point indices and embeddings.")]
Threshold = Annotated[float, Query(ge=0, le=1, description="Leave out objects with a lower score.")]


def create_app(
    model: ObjectModel,
    text: TextSource | None = None,
    labels: str | None = None,
    limits: Limits | None = None,
    token: str | None = None,
) -> FastAPI:
    """Make the application of ``clip2 serve``, for any ASGI server.

    Args:
        model: as :func:`clip2.load` returns it.
        text: source of label vectors; None: the model's own.
        labels: of requests that state none; None: all labels of ``text``.
        limits: None: the defaults.
        token: that requests must carry as ``Authorization: Bearer TOKEN``; None: everyone may ask.

    Raises:
        InputError: labels without vectors, or a limit that is not positive.

    >>> import clip2
    >>> app = create_app(clip2.load("mini-points"), labels="chair,table")
    >>> app.title
    'clip2'
    """
    limits = limits or Limits()
    limits.check()
    metrics = Metrics()
    engine, gate = Engine(model, metrics, text, labels), Gate(limits, metrics)
    maps = LiveMaps(model, text, labels, gate, limits.max_maps)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await gate.heavy(engine.warm_up)
        yield
        gate.close()
        engine.close()

    app = FastAPI(
        title="clip2",
        version=__version__,
        summary="Open-vocabulary names for things in 3D",
        docs_url=None,  # its page would load scripts from another server
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_middleware(Edge, metrics=metrics, token=token)
    _handle_errors(app, metrics)

    async def described(
        request: Request, parts: list[Part], form: CloudForm
    ) -> tuple[Description, list[str]]:
        frames = await gate.light(read_frames, parts, form, limits)
        points = [frame.world_points() for frame in frames]
        _count(request, metrics, sum(map(len, points)))
        future = engine.batcher.submit(points, [frame.colors for frame in frames])
        return await asyncio.wrap_future(future), [part.filename or part.name for part in parts]

    @app.post("/v1/recognize", openapi_extra=_SCAN_BODY, summary="Find and name the objects of a scan")
    async def recognize(
        request: Request,
        labels: Labels = None,
        threshold: Threshold = 0.0,
        background: Annotated[str, Query(description="Labels that compete but are not wanted.")] = "",
        unknown: Annotated[
            Unknown, Query(description="Objects unlike the training objects: keep as unknown, name, or drop.")
        ] = "keep",
        min_objectness: Annotated[
            float, Query(ge=0, le=1, description="Least likelihood of being one whole object.")
        ] = 0.0,
        max_objects: Annotated[int | None, Query(ge=1, description="Most objects to answer with.")] = None,
        proposals: Annotated[Kind, Query(description="How objects are found; auto: by the extent.")] = "auto",
        brief: Brief = False,
        columns: Columns = None,
        up: Up = "z",
        scale: Scale = 1.0,
    ) -> Response:
        await gate.light(engine.check, labels, background)
        query = RecognizeOptions(
            labels, threshold, background, unknown, min_objectness, max_objects, proposals, brief
        )

        async def work(parts: list[Part]) -> Response:
            frame = await gate.light(read_frame, parts, CloudForm(columns, up, scale), limits)
            _count(request, metrics, len(frame.points))
            return await gate.heavy(lambda: _json(engine.recognize(frame, query, limits.max_objects)))

        return await gate.answer(request, work)

    @app.post("/v1/classify", openapi_extra=_CLOUDS_BODY, summary="Name single objects")
    async def classify(
        request: Request,
        labels: Labels = None,
        top: Annotated[int, Query(ge=1, description="Labels per object.")] = 3,
        unknown: Annotated[
            Literal["keep", "name"], Query(description="Objects unlike the training objects.")
        ] = "keep",
        columns: Columns = None,
        up: Up = "z",
        scale: Scale = 1.0,
    ) -> Response:
        await gate.light(engine.check, labels)

        async def work(parts: list[Part]) -> Response:
            found, names = await described(request, parts, CloudForm(columns, up, scale))
            return await gate.light(lambda: _json(engine.classify(found, names, labels, top, unknown)))

        return await gate.answer(request, work)

    @app.post("/v1/embed", openapi_extra=_CLOUDS_BODY, summary="Embeddings of single objects")
    async def embed(request: Request, columns: Columns = None, up: Up = "z", scale: Scale = 1.0) -> Response:
        async def work(parts: list[Part]) -> Response:
            found, _ = await described(request, parts, CloudForm(columns, up, scale))
            return await gate.light(lambda: _json(engine.embed(found)))

        return await gate.answer(request, work)

    @app.get("/v1/labels", summary="Labels of the model")
    async def list_labels() -> dict[str, Any]:
        names = getattr(engine.text, "names", ())
        default = engine.labels.split(",") if engine.labels else list(names)
        return {"model": model.teacher.name, "labels": list(names), "default": default}

    _add_map_routes(app, maps, gate, metrics)

    @app.get("/v2", summary="Server metadata")
    async def about_server() -> dict[str, Any]:
        return server_metadata()

    @app.get("/v2/health/live", summary="Is the process alive?")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @app.get("/v2/health/ready", summary="Can it answer requests?")
    async def ready() -> dict[str, bool]:
        return {"ready": True}  # the model is loaded before the port opens

    @app.get(f"/v2/models/{MODEL}", summary="Model metadata")
    async def about_model() -> dict[str, Any]:
        return model_metadata(model)

    @app.get(f"/v2/models/{MODEL}/ready", summary="Is the model loaded?")
    async def model_ready() -> dict[str, Any]:
        return {"name": MODEL, "ready": True}

    @app.post(
        f"/v2/models/{MODEL}/infer",
        openapi_extra=_JSON_BODY,
        summary="Embeddings of clouds sent as tensors",
    )
    async def infer(request: Request) -> Response:
        async def work(parts: list[Part]) -> Response:
            document = await gate.light(read_json, parts[0].content, limits)
            clouds, colors = await gate.light(infer_inputs, document, limits.max_points, limits.max_objects)
            _count(request, metrics, sum(map(len, clouds)))
            found = await asyncio.wrap_future(engine.batcher.submit(clouds, colors))
            known = model.is_in_distribution(found.features)
            return await gate.light(lambda: _json(infer_answer(document, found.embeddings, known)))

        return await gate.answer(request, work)

    @app.get("/metrics", summary="Prometheus metrics", response_class=Response)
    async def prometheus() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/docs", include_in_schema=False)
    async def reference() -> HTMLResponse:
        return HTMLResponse(reference_page(app.openapi()))

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse("/docs")

    return app


def _add_map_routes(app: FastAPI, maps: LiveMaps, gate: Gate, metrics: Metrics) -> None:
    """Routes of live maps."""

    @app.get("/v1/maps", summary="Names of the live maps")
    async def list_maps() -> dict[str, Any]:
        return {"maps": maps.names()}

    @app.post("/v1/maps/{name}/frames", openapi_extra=_SCAN_BODY, summary="Take a frame into a live map")
    async def add_frame(
        request: Request,
        name: str,
        pose: Annotated[
            str | None,
            Query(
                description="16 numbers, 4 x 4 row by row: from the points or the camera to the z-up world."
            ),
        ] = None,
        timestamp: Annotated[float | None, Query(description="Seconds.", allow_inf_nan=False)] = None,
        brief: Brief = False,
        columns: Columns = None,
        up: Up = "z",
        scale: Scale = 1.0,
    ) -> Response:
        form = CloudForm(columns, up, scale, pose, timestamp)

        async def work(parts: list[Part]) -> Response:
            frame = await gate.light(read_frame, parts, form, gate.limits)
            _count(request, metrics, len(frame.points))
            document = await maps.update(name, frame, brief)
            return await gate.light(_json, document)

        return await gate.answer(request, work)

    @app.get("/v1/maps/{name}/objects", summary="Objects of a live map, by any labels")
    async def map_objects(
        name: str, labels: Labels = None, threshold: Threshold = 0.0, brief: Brief = False
    ) -> Response:
        return await gate.light(_json, await maps.objects(name, labels, threshold, brief))

    @app.delete("/v1/maps/{name}", summary="Forget a live map")
    async def drop_map(name: str) -> dict[str, Any]:
        maps.drop(name)
        return {"maps": maps.names()}


def _json(document: dict[str, Any]) -> Response:
    """The answer, made on the thread that calls; ``allow_nan=False`` as JSON knows none."""
    return Response(json.dumps(document, allow_nan=False), media_type="application/json")


def _count(request: Request, metrics: Metrics, points: int) -> None:
    metrics.points.inc(points)
    request.scope[FACTS]["points"] = points


def _handle_errors(app: FastAPI, metrics: Metrics) -> None:
    """Every failure becomes one line of JSON with a fitting status."""

    @app.exception_handler(InputError)
    async def bad_input(request: Request, error: InputError) -> Response:
        request.scope[FACTS]["error"] = str(error)
        status = 413 if isinstance(error, TooManyPointsError) else 400
        return error_response(request.scope, status, str(error))

    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> Response:
        metrics.refused.labels(error.reason).inc()
        request.scope[FACTS]["error"] = str(error)
        return error_response(request.scope, error.status, str(error), error.headers)

    @app.exception_handler(ClientGoneError)
    async def gone(request: Request, error: ClientGoneError) -> Response:
        return Response(status_code=499)  # nobody reads it

    @app.exception_handler(RequestValidationError)
    async def bad_query(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        message = f"{'.'.join(map(str, first['loc'][1:]))}: {first['msg']}"
        request.scope[FACTS]["error"] = message
        return error_response(request.scope, 400, message)

    @app.exception_handler(HTTPException)
    async def no_route(request: Request, error: HTTPException) -> Response:
        return error_response(request.scope, error.status_code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Response:
        headers = {"X-Request-ID": request.scope.get(REQUEST_ID, "")}
        return error_response(request.scope, 500, "internal error, see the server's log", headers)
