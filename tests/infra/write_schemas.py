"""Write the schema files of the providers that cannot be built from a package registry: facts of their reference pages.

Run as a program it writes them into schemas/.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "schemas"
TYPES: dict[str, Any] = {
    "s": "string",
    "n": "number",
    "b": "bool",
    "ls": ["list", "string"],
    "ss": ["set", "string"],
    "ms": ["map", "string"],
}
FLAGS = {"r": "required", "o": "optional", "c": "computed", "x": "sensitive"}

Json = dict[str, Any]


def attributes(text: str) -> Json:
    """From `title:s:r uid:s:oc`: name, type and flags of each."""
    split = (word.split(":") for word in text.split())
    return {name: {"type": TYPES[kind], **{FLAGS[flag]: True for flag in flags}} for name, kind, flags in split}


def block(text: str, **blocks: Json) -> Json:
    return {"attributes": attributes(text), "block_types": blocks}


def nested(mode: str, inner: Json, **limits: int) -> Json:
    return {"nesting_mode": mode, "block": inner, **limits}


def provider(text: str, resources: dict[str, Json]) -> str:
    """A schema file."""
    body = {
        "provider": {"block": block(text)},
        "resource_schemas": {name: {"block": said} for name, said in resources.items()},
    }
    return json.dumps(body, indent=1, sort_keys=True) + "\n"


def cloudflare() -> str:
    """cloudflare/cloudflare 5.22."""
    record = block(
        "zone_id:s:r name:s:r type:s:r ttl:n:r content:s:oc comment:s:o priority:n:o proxied:b:oc tags:ss:oc"
        " id:s:c created_on:s:c modified_on:s:c proxiable:b:c"
    )
    return provider("api_token:s:ox base_url:s:o", {"cloudflare_dns_record": record})


def grafana() -> str:
    """grafana/grafana 4.45."""
    query = block(
        "datasource_uid:s:r model:s:r ref_id:s:r query_type:s:o",
        relative_time_range=nested("list", block("from:n:r to:n:r"), min_items=1, max_items=1),
    )
    settings = block(
        "contact_point:s:r group_by:ls:o group_interval:s:o group_wait:s:o mute_timings:ls:o repeat_interval:s:o"
    )
    rule = block(
        "name:s:r annotations:ms:o condition:s:o exec_err_state:s:o for:s:o is_paused:b:o keep_firing_for:s:o"
        " labels:ms:o missing_series_evals_to_resolve:n:o no_data_state:s:o uid:s:oc",
        data=nested("list", query, min_items=1),
        notification_settings=nested("list", settings, max_items=1),
    )
    email = block(
        "addresses:ls:r disable_resolve_message:b:o message:s:o settings:ms:ox single_email:b:o subject:s:o uid:s:c"
    )
    return provider(
        "url:s:o auth:s:ox org_id:n:o retries:n:o tls_skip_verify:b:o",
        {
            "grafana_folder": block("title:s:r uid:s:oc parent_folder_uid:s:o org_id:s:o id:s:c url:s:c"),
            "grafana_dashboard": block(
                "config_json:s:r folder:s:o message:s:o org_id:s:o overwrite:b:o dashboard_id:n:c id:s:c uid:s:c"
                " url:s:c version:n:c"
            ),
            "grafana_data_source": block(
                "name:s:r type:s:r url:s:o uid:s:oc access_mode:s:o http_headers:ms:ox json_data_encoded:s:o"
                " secure_json_data_encoded:s:ox is_default:b:o org_id:s:o id:s:c"
            ),
            "grafana_rule_group": block(
                "name:s:r folder_uid:s:r interval_seconds:n:r disable_provenance:b:o org_id:s:o id:s:c",
                rule=nested("list", rule, min_items=1),
            ),
            "grafana_contact_point": block(
                "name:s:r disable_provenance:b:o org_id:s:o id:s:c", email=nested("set", email)
            ),
        },
    )


def main() -> None:
    (HERE / "cloudflare.json").write_text(cloudflare())
    (HERE / "grafana.json").write_text(grafana())


if __name__ == "__main__":
    main()
