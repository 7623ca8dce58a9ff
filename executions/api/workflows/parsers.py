"""Bodies that are definitions. They are checked later, so that each fault has its line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any, ClassVar

from rest_framework.parsers import BaseParser

from workflows.exchange.uploads import Form


@dataclass(frozen=True, slots=True)
class DefinitionBody:
    """The bytes of a definition and how it is written."""

    data: bytes
    form: Form


class _DefinitionParser(BaseParser):
    form: ClassVar[Form]

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the `DefinitionBody`."""
        return DefinitionBody(stream.read(), self.form)


class JsonDefinitionParser(_DefinitionParser):
    """A definition as JSON."""

    media_type = "application/json"
    form = Form.JSON


class YamlDefinitionParser(_DefinitionParser):
    """A definition as YAML."""

    media_type = "application/yaml"
    form = Form.YAML


class OldYamlDefinitionParser(YamlDefinitionParser):
    """A definition as YAML, by a media type from before RFC 9512."""

    media_type = "application/x-yaml"


class YamlTextDefinitionParser(YamlDefinitionParser):
    """A definition as YAML, by another media type from before RFC 9512."""

    media_type = "text/yaml"


class ZipDefinitionParser(_DefinitionParser):
    """The folder of a workflow as zip."""

    media_type = "application/zip"
    form = Form.ZIP


PARSERS = (
    JsonDefinitionParser,
    YamlDefinitionParser,
    OldYamlDefinitionParser,
    YamlTextDefinitionParser,
    ZipDefinitionParser,
)
