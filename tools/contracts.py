"""Writes the JSON Schemas and the AsyncAPI document from the table of topics, and the rule files' schemas, and checks them.

`contracts.py` writes docs/contracts/. `contracts.py --check` fails when a generated file is out of date, when an event type has
no example, or when a change is not compatible with the released schemas (docs/contracts/released.json): only optional
additions are. `contracts.py --release` makes today's schemas the released ones.
"""

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import yaml
from tenure.contracts.programme import BenefitRules, Catalogue, EarningRules, Messages, TierRules
from tenure.contracts.topic import Topic
from tenure.contracts.topics import TOPICS, TYPES

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "contracts"
RELEASED = OUT / "released.json"
PROGRAMME = {
    "tiers": TierRules, "earning": EarningRules, "benefits": BenefitRules, "catalogue": Catalogue, "messages": Messages,
}  # fmt: skip
EXAMPLES = ROOT / "shared" / "tenure" / "contracts" / "examples"


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of every event type's data, self-contained."""
    out = {}
    for name, cls in sorted(TYPES.items()):
        schema = msgspec.json.schema(cls)
        out[name] = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"/schemas/{name}/1.json",
            **schema,
        }
    return out


def asyncapi(all_schemas: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The AsyncAPI 3 document: one channel per topic, who sends and who receives."""
    channels, operations, messages = {}, {}, {}
    for topic in TOPICS:
        names = list(topic.types)
        channels[topic.name] = {
            "address": topic.name,
            "description": f"Keyed by {topic.key}; {topic.partitions} partitions; kept {_how_long(topic)}.",
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
            "bindings": {"kafka": {"topic": topic.name, "partitions": topic.partitions, "bindingVersion": "0.5.0"}},
        }
        operations[f"{topic.name}:send"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{topic.name}"},
            "description": f"Sent by {topic.producer}.",
        }
        for consumer in topic.consumers:
            operations[f"{topic.name}:{consumer}"] = {
                "action": "receive",
                "channel": {"$ref": f"#/channels/{topic.name}"},
                "description": f"Received by {consumer}.",
            }
        for name in names:
            messages[name] = {
                "name": name,
                "contentType": "application/json",
                "headers": {"$ref": "#/components/schemas/CloudEvent"},
                "payload": {"$ref": f"./schemas/{name}.json"},
                "summary": (TYPES[name].__doc__ or "").strip().split("\n")[0],
            }
    headers = {
        n: {"type": "string"} for n in ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject")
    }
    envelope = {
        "type": "object",
        "properties": {
            **headers,
            "ce_partitionkey": {"type": "string"},
            "ce_backfill": {"enum": ["true"]},
            "traceparent": {"type": "string"},
        },
        "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time"],
    }
    assert set(messages) == set(all_schemas)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tenure events",
            "version": "1.0.0",
            "description": "CloudEvents 1.0 in Kafka's binary mode. Generated from shared/tenure/contracts/topics.py.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": {"CloudEvent": envelope}},
    }


def _how_long(topic: Topic) -> str:
    return "for ever" if topic.retention_days is None else f"{topic.retention_days} days"


def programme_schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of each rule file of the programme, for editors and for whoever writes rules elsewhere."""
    found = {}
    for name, rules in PROGRAMME.items():
        (versions,), parts = msgspec.json.schema_components((list[rules],), ref_template="#/$defs/{name}")  # type: ignore[valid-type]
        found[name] = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"/programme/{name}.json",
            "title": f"programme/{name}.yaml",
            "type": "object",
            "properties": {"versions": {**versions, "minItems": 1}},
            "required": ["versions"],
            "additionalProperties": False,
            "$defs": parts,
        }
    return found


def rendered() -> dict[Path, str]:
    """Every generated file and its text."""
    all_schemas = schemas()
    files = {
        OUT / "schemas" / f"{name}.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in all_schemas.items()
    }
    files |= {
        OUT / "programme" / f"{name}.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in programme_schemas().items()
    }
    document = yaml.safe_dump(asyncapi(all_schemas), sort_keys=False, allow_unicode=True, width=120)
    files[OUT / "asyncapi.yaml"] = document
    return files


def breaking(old: Any, new: Any, where: str) -> list[str]:
    """What a reader of the old schema would trip over in the new one."""
    found: list[str] = []
    if isinstance(old, dict) and isinstance(new, dict):
        gone = set(old.get("properties", {})) - set(new.get("properties", {}))
        found += [f"{where}: property {name} is gone" for name in sorted(gone)]
        added = set(new.get("required", [])) - set(old.get("required", []))
        found += [f"{where}: property {name} became required" for name in sorted(added)]
        if old.get("type") != new.get("type") and "type" in old:
            found.append(f"{where}: type {old['type']} became {new.get('type')}")
        lost = set(map(str, old.get("enum", []))) - set(map(str, new.get("enum", [])))
        if lost and "enum" in new:
            found.append(f"{where}: values {sorted(lost)} are gone")
        for part in ("properties", "$defs"):
            for name in set(old.get(part, {})) & set(new.get(part, {})):
                found += breaking(old[part][name], new[part][name], f"{where}.{name}")
    return found


def check(files: dict[Path, str]) -> list[str]:
    found = [
        f"{path.relative_to(ROOT)} is out of date: run `make contracts`"
        for path, text in files.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    stale = set((OUT / "schemas").glob("*.json")) - set(files)
    found += [f"{path.relative_to(ROOT)} belongs to no event type" for path in sorted(stale)]
    found += [
        f"{name} has no example in contracts/examples" for name in TYPES if not list(EXAMPLES.glob(f"{name}*.json"))
    ]
    released = json.loads(RELEASED.read_text(encoding="utf-8")) if RELEASED.is_file() else {}
    now = schemas()
    found += [f"{name} is gone" for name in released if name not in now]
    for name in set(released) & set(now):
        found += breaking(released[name], now[name], name)
    return found


def main(words: list[str]) -> int:
    files = rendered()
    if "--check" in words:
        found = check(files)
        print(
            "\n".join(found) or f"contracts: {len(TYPES)} event types, documents up to date, examples there, compatible"
        )
        return 1 if found else 0
    for folder in ("schemas", "programme"):
        (OUT / folder).mkdir(parents=True, exist_ok=True)
    for path in (OUT / "schemas").glob("*.json"):
        path.unlink()
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    if "--release" in words:
        RELEASED.write_text(
            json.dumps(schemas(), indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8"
        )
    print(f"wrote {len(files)} files to {OUT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
