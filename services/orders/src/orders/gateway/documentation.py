"""`/docs` and `/openapi.json`."""

from importlib import resources
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, HTMLResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from orders.gateway import openapi

_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}


def add_documentation(app: FastAPI, placed_order: type[BaseModel], default_region: str) -> None:
    """Swagger UI with files of the package fastapi-offline: nothing comes from elsewhere."""
    folder = resources.files("fastapi_offline") / "static"

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url="/docs/swagger-ui-bundle.js",
            swagger_css_url="/docs/swagger-ui.css",
            swagger_favicon_url="/docs/favicon.png",
        )

    @app.get("/docs/{asset}", include_in_schema=False)
    async def docs_asset(asset: str) -> FileResponse:
        if asset not in _ASSETS:
            raise HTTPException(404)
        return FileResponse(str(folder / asset), media_type=_ASSETS[asset])

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            schemas = schema["components"]["schemas"]
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            for path in schema["paths"].values():
                for operation in path.values():
                    operation["responses"].pop("422", None)  # the framework's, which is never given
            schemas["NewOrder"] = openapi.new_order_schema(default_region)
            schemas["PlacedOrder"] = openapi.placed_order_schema(placed_order)
            schemas["Problem"] = openapi.problem_schema()
            schema["paths"] = {"/orders": {"post": openapi.place_order_operation()}} | schema["paths"]
            for path in schema["paths"].values():
                for operation in path.values():
                    operation["responses"] |= openapi.answers_of_all()
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
