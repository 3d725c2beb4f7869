"""What a definition looks like in each language, as its tree-sitter grammar names it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    """One grammar and its node types.

    Attributes:
        name: of the parser.
        mime: media type.
        grammars: ``module:function``, the one with the fewest errors is taken.
        definitions: what becomes an element of its own, with a symbol.
        classes: definitions whose members become elements where they are long.
        scopes: what is always opened: namespaces, conditional compilation.
        wrappers: what holds one definition and belongs to it: decorators, ``export``.
        attached: what stands before a definition and belongs to it.
    """

    name: str
    mime: str
    grammars: tuple[str, ...]
    definitions: frozenset[str]
    classes: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    wrappers: frozenset[str] = frozenset()
    attached: frozenset[str] = frozenset(("comment",))


def _types(words: str) -> frozenset[str]:
    return frozenset(words.split())


_JS_DEFINITIONS = """
    function_declaration generator_function_declaration class_declaration lexical_declaration
    variable_declaration method_definition function_expression arrow_function class assignment_expression
"""
_C_DEFINITIONS = "function_definition struct_specifier union_specifier enum_specifier type_definition"
_C_SCOPES = "preproc_ifdef preproc_if preproc_else preproc_elif"

_ALL = (
    Language(
        "python",
        "text/x-python",
        ("tree_sitter_python:language",),
        _types("function_definition class_definition"),
        classes=_types("class_definition"),
        wrappers=_types("decorated_definition"),
    ),
    Language(
        "javascript",
        "text/javascript",
        ("tree_sitter_javascript:language",),
        _types(_JS_DEFINITIONS),
        classes=_types("class_declaration class"),
        wrappers=_types("export_statement expression_statement"),
        attached=_types("comment decorator"),
    ),
    Language(
        "typescript",
        "text/typescript",
        ("tree_sitter_typescript:language_typescript", "tree_sitter_typescript:language_tsx"),
        _types(
            _JS_DEFINITIONS + " interface_declaration type_alias_declaration enum_declaration"
            " abstract_class_declaration function_signature abstract_method_signature"
        ),
        classes=_types("class_declaration class abstract_class_declaration"),
        scopes=_types("internal_module module"),
        wrappers=_types("export_statement expression_statement ambient_declaration"),
        attached=_types("comment decorator"),
    ),
    Language(
        "java",
        "text/x-java",
        ("tree_sitter_java:language",),
        _types(
            "class_declaration interface_declaration enum_declaration record_declaration"
            " annotation_type_declaration method_declaration constructor_declaration"
            " compact_constructor_declaration"
        ),
        classes=_types(
            "class_declaration interface_declaration enum_declaration record_declaration"
        ),
        attached=_types("line_comment block_comment"),
    ),
    Language(
        "go",
        "text/x-go",
        ("tree_sitter_go:language",),
        _types("function_declaration method_declaration type_declaration"),
    ),
    Language(
        "c",
        "text/x-c",
        ("tree_sitter_c:language",),
        _types(_C_DEFINITIONS),
        scopes=_types(_C_SCOPES + " linkage_specification"),
    ),
    Language(
        "cpp",
        "text/x-c++",
        ("tree_sitter_cpp:language",),
        _types(_C_DEFINITIONS + " class_specifier alias_declaration concept_definition"),
        classes=_types("class_specifier struct_specifier"),
        scopes=_types(_C_SCOPES + " linkage_specification namespace_definition"),
        wrappers=_types("template_declaration"),
    ),
    Language(
        "rust",
        "text/x-rust",
        ("tree_sitter_rust:language",),
        _types(
            "function_item struct_item enum_item union_item trait_item impl_item macro_definition type_item"
            " function_signature_item"
        ),
        classes=_types("impl_item trait_item"),
        scopes=_types("mod_item foreign_mod_item"),
        attached=_types("line_comment block_comment attribute_item"),
    ),
    Language(
        "sql",
        "text/x-sql",
        ("tree_sitter_sql:language",),
        _types(
            "create_table create_view create_materialized_view create_function create_procedure create_index"
            " create_trigger create_type create_schema create_sequence create_policy create_role"
        ),
        wrappers=_types("statement"),
        attached=_types("comment marginalia"),
    ),
)  # fmt: skip

LANGUAGES = {language.name: language for language in _ALL}
"""By the name of the parser."""
