"""Which definitions of the package a script can reach, by the syntax tree.

A definition is what a name at the top level of a module stands for: a function, a class,
a constant or an import. A script reaches what its statements name, what the statements
behind those names name in turn, and so on, through imports and attributes of modules.
What cannot be followed counts as a whole: a module that is handed on as an object, or
imported with a star, and all modules where names are made up at run time.

The statements of a module that do more than define, ``mpl.rcParams.update(RC)``, run
when it is imported, whichever of its names is wanted. They count, with what they
reach, for every script that imports the module, directly or not.

Too much may count, but nothing too little: names are compared without a thought of
scope, so that a local variable called like a function reaches that function.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

PACKAGE = "attention_audit"

# A module's own statements, and all that is in it, where a name is expected.
OWN, WHOLE = "", "*"
EVERYTHING = (PACKAGE, WHOLE)

# All that this module does is to end a job with words: no result depends on it.
ERRORS = f"{PACKAGE}.records.errors"
# The schemas count table by table, by name; see `provenance`. The statements of their
# module fill them in.
SCHEMAS = {
    (f"{PACKAGE}.records.schemas", "SCHEMAS"),
    (f"{PACKAGE}.records.schemas", OWN),
}

# Calls that change nothing but what they return, so that a definition that makes one
# while its module is imported is no more than a definition.
_PURE = {
    "builtins.classmethod",
    "builtins.dict",
    "builtins.frozenset",
    "builtins.property",
    "builtins.set",
    "builtins.staticmethod",
    "builtins.tuple",
    "contextlib.contextmanager",
    "dataclasses.dataclass",
    "dataclasses.field",
    "functools.cache",
    "functools.cached_property",
    "functools.lru_cache",
    "functools.partial",
    "functools.wraps",
    "logging.getLogger",
    "numpy.array",
    "re.compile",
    "torch.no_grad",
}
# Ways to a name that no syntax tree shows.
_UNSEEN = {
    "builtins.__import__",
    "builtins.eval",
    "builtins.exec",
    "builtins.globals",
    "builtins.vars",
    "importlib.reload",
    "inspect.getmodule",
    "sys.modules",
}
# The same, but the rules declare what they choose so.
_CHOSEN = "importlib.import_module"

Node = tuple[str, str]  # module and name
Chain = tuple[str, ...]  # a name and the attributes after it: a.b.c


_SCOPES = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class Import(NamedTuple):
    """One name that an import statement binds.

    ``name`` stands for ``module``, or for its ``attribute``; ``loaded`` is the module
    that the statement names: ``import a.b`` binds ``a``.
    """

    name: str
    module: str
    attribute: str | None
    loaded: str


def _imports(node: ast.AST, package: str) -> Iterator[Import]:
    """What an import statement in a module of ``package`` binds."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            first = alias.name.split(".")[0]
            module = alias.name if alias.asname else first
            yield Import(alias.asname or first, module, None, alias.name)
    elif isinstance(node, ast.ImportFrom):
        parts = package.split(".")
        base = parts[: len(parts) - node.level + 1] if node.level else []
        module = ".".join([*base, *filter(None, [node.module])])
        for alias in node.names:
            yield Import(alias.asname or alias.name, module, alias.name, module)


def _chain(node: ast.AST) -> Chain | None:
    """``a.b.c`` as its parts; None for any other expression."""
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    return (node.id, *reversed(attributes)) if isinstance(node, ast.Name) else None


_LOOKING = (
    *(ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.keyword),
    *(ast.JoinedStr, ast.FormattedValue, ast.BinOp, ast.UnaryOp),
    *(ast.operator, ast.unaryop, ast.expr_context),
)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """What `ast.iter_child_nodes` gives, in a third of the time."""
    for field in node._fields:
        value = getattr(node, field, None)
        if isinstance(value, ast.AST):
            yield value
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, ast.AST):
                    yield item


def _logs(node: ast.AST, loggers: set[str]) -> bool:
    """Whether a statement is a line of a log that does no more than look at values."""
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return False
    chain = _chain(node.value.func)
    return (
        chain is not None
        and len(chain) == 2
        and chain[0] in loggers
        and all(
            isinstance(inner, _LOOKING)
            for argument in (*node.value.args, *node.value.keywords)
            for inner in ast.walk(argument)
        )
    )


def _silence(node: ast.AST, loggers: set[str]) -> None:
    """Take out of a node what no result depends on.

    Docstrings. The words of an error: what a finished job has raised it has also caught,
    by its class, and nothing reads the words of a caught error but other errors and logs.
    Lines of a log.
    """
    if isinstance(node, ast.Call):
        chain = _chain(node.func)
        if chain and chain[-1] == "AuditError":
            node.args, node.keywords = [], []
    elif isinstance(node, ast.Raise):
        if isinstance(node.exc, ast.Call):
            node.exc.args, node.exc.keywords = [], []
    elif not isinstance(node, ast.expr):
        for field in ("body", "orelse", "finalbody"):
            if statements := getattr(node, field, None):
                kept = [s for s in statements if not _logs(s, loggers)]
                setattr(node, field, kept)
        if isinstance(node, (ast.Module, *_SCOPES)):
            match node.body:
                case [ast.Expr(ast.Constant(str())), *rest]:
                    node.body = rest


class Statement:
    """One statement at the top level of a module, silenced, and all that it names."""

    def __init__(self, node: ast.stmt, package: str, loggers: set[str]):
        self.node = node
        self.chains: set[Chain] = set()
        self.strings: set[str] = set()
        self.imports: list[Import] = []
        self._read(node, package, loggers)

    def _read(self, node: ast.AST, package: str, loggers: set[str]) -> None:
        chain = _chain(node)
        if chain is not None:
            self.chains.add(chain)
            return
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                self.strings.add(node.value)
            return
        _silence(node, loggers)
        self.imports += _imports(node, package)
        for child in _children(node):
            self._read(child, package, loggers)

    @cached_property
    def digest(self) -> str:
        """sha256 of the statement's syntax tree, in hex."""
        return hashlib.sha256(ast.dump(self.node).encode()).hexdigest()


def _bound(target: ast.expr) -> list[str] | None:
    """The names that an assignment to ``target`` binds; None where it does more."""
    if isinstance(target, ast.Name):
        return [target.id]
    if isinstance(target, (ast.Tuple, ast.List)):
        inner = [_bound(element) for element in target.elts]
        return None if None in inner else [name for names in inner for name in names]
    return None


class Module:
    """The statements of one module, parted into definitions and what else runs."""

    def __init__(self, source: str, package: str):
        self.package = package
        tree = ast.parse(source)
        loggers = _loggers(tree)
        _silence(tree, loggers)
        self.definitions: dict[str, list[Statement]] = {}
        self.imports: dict[str, list[Import]] = {}
        # what runs on import beside the definitions; the imports that do are loaded
        self.running: list[Statement] = []
        self.loaded: list[Import] = []
        statements = [Statement(node, package, loggers) for node in tree.body]
        for statement in statements:
            # those of a function or class are the function's or the class's own
            if not isinstance(statement.node, _SCOPES):
                self.loaded += statement.imports
        for found in self.loaded:
            self.imports.setdefault(found.name, []).append(found)
        for statement in statements:
            if isinstance(statement.node, (ast.Import, ast.ImportFrom)):
                continue
            names = self._defined(statement.node)
            for name in names:
                self.definitions.setdefault(name, []).append(statement)
            if not names or self._runs(statement.node):
                self.running.append(statement)
        used = {chain[0] for s in statements for chain in s.chains}
        # An import that nothing uses is there for what it does.
        self.effects = [i for i in self.loaded if i.name not in used]

    @staticmethod
    def _defined(node: ast.stmt) -> list[str]:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                return [node.name]
            case ast.Assign():
                names = [_bound(target) for target in node.targets]
                return [] if None in names else [n for ns in names for n in ns]
            case ast.AnnAssign(target=ast.Name(id=name)):
                return [name]
        return []

    def _runs(self, node: ast.stmt) -> bool:
        """Whether a definition does more, when it is made, than to bind its names."""
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                made = [node.args, node.returns, *node.decorator_list]
            case ast.ClassDef():
                # A base may have a word in the making of its subclasses. Those of
                # libraries are trusted not to.
                if node.keywords or any(self._is_ours(base) for base in node.bases):
                    return True
                if any(self._runs(inner) for inner in node.body):
                    return True
                made = [*node.bases, *node.decorator_list]
            case ast.Assign() | ast.AnnAssign():
                if not self._defined(node):
                    return True
                made = [node.value, getattr(node, "annotation", None)]
            case ast.Pass() | ast.Expr(ast.Constant()):
                return False
            case _:
                return True
        calls = [
            inner.func if isinstance(inner, ast.Call) else inner
            for expression in filter(None, made)
            for inner in ast.walk(expression)
            if isinstance(inner, (ast.Call, ast.NamedExpr))
        ]
        decorators = getattr(node, "decorator_list", [])
        calls += [d for d in decorators if not isinstance(d, ast.Call)]
        return any(self.dotted(_chain(call)) not in _PURE for call in calls)

    def _is_ours(self, base: ast.expr) -> bool:
        chain = _chain(base)
        dotted = self.dotted(chain)
        return dotted is None or dotted.split(".")[0] == PACKAGE

    def dotted(self, chain: Chain | None) -> str | None:
        """What a chain is called outside the module; None for what is made in it."""
        if chain is None or chain[0] in self.definitions:
            return None
        found = self.imports.get(chain[0])
        if not found:
            return ".".join(("builtins", *chain))
        first = found[0]
        return ".".join(filter(None, [first.module, first.attribute, *chain[1:]]))


def _loggers(tree: ast.Module) -> set[str]:
    """The names to which a module's top level assigns a logger."""
    found = set()
    for node in tree.body:
        match node:
            case ast.Assign([ast.Name(id=name)], ast.Call(func=function)):
                if _chain(function) == ("logging", "getLogger"):
                    found.add(name)
    return found


class Code:
    """The modules below a folder, and what reaches what in them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.modules: dict[str, Module | None] = {}
        # A node is one of many scripts'.
        self.needs = cache(self._needs)
        self.content = cache(self._content)
        self.strings = cache(self._strings)
        self.libraries = cache(self._libraries)

    def module(self, name: str) -> Module | None:
        """A module by its dotted name; None for one that is not in the folder."""
        if name not in self.modules:
            stem = self.folder.joinpath(*name.split("."))
            package = stem / "__init__.py"
            if package.is_file():
                self.modules[name] = Module(package.read_text(encoding="utf-8"), name)
            elif (path := stem.with_suffix(".py")).is_file():
                parent = name.rpartition(".")[0]
                self.modules[name] = Module(path.read_text(encoding="utf-8"), parent)
            else:
                self.modules[name] = None
        return self.modules[name]

    def reached(self, script: str, chosen: Iterable[str] = ()) -> set[Node]:
        """The definitions that a script reaches, and the modules that it imports.

        ``script`` is the name of a file in the folder. ``chosen`` are definitions that
        it picks at run time, as ``package.module:name``. A pair of a module and `OWN`
        stands for the module's own statements.
        """
        name = Path(script).stem
        chosen = [tuple(choice.split(":")) for choice in chosen]
        for module, attribute in chosen:
            found_in = self.module(module)
            if found_in is None or attribute not in found_in.definitions:
                raise ValueError(f"{script}: {module} defines no {attribute}")
        waiting = [(name, own) for own in (OWN, *self.module(name).definitions)]
        waiting += chosen
        found: set[Node] = set()
        while waiting:
            node = waiting.pop()
            if node == (_CHOSEN, OWN):
                node = EVERYTHING if not chosen else None
            if node is not None and node not in found:
                found.add(node)
                waiting += self.needs(node) - found
        return found

    def _content(self, node: Node) -> list[str | Import]:
        """What the source says of one of the nodes that `reached` returns."""
        module, name = self.module(node[0]), node[1]
        if name == OWN:
            return [*(s.digest for s in module.running), *module.effects]
        own = module.definitions.get(name, [])
        return [*(s.digest for s in own), *module.imports.get(name, [])]

    def _strings(self, node: Node) -> set[str]:
        """The strings in the statements behind a node."""
        module, name = self.module(node[0]), node[1]
        own = module.running if name == OWN else module.definitions.get(name, [])
        return set().union(*(statement.strings for statement in own))

    def _libraries(self, node: Node) -> set[str]:
        """The top-level names of all that a node imports from outside the folder."""
        module, name = self.module(node[0]), node[1]
        if name == OWN:
            found = [*module.loaded, *(i for s in module.running for i in s.imports)]
        else:
            found = [i for s in module.definitions.get(name, []) for i in s.imports]
        return {i.loaded.split(".")[0] for i in found if not self.module(i.loaded)}

    def _needs(self, node: Node) -> frozenset[Node]:
        """What a node needs directly."""
        name, definition = node
        module = self.module(name)
        parts = name.split(".")
        found = {(".".join(parts[:end]), OWN) for end in range(1, len(parts) + 1)}
        if definition == WHOLE:
            for own in (*module.definitions, *module.imports):
                found |= self._follow(name, (own,))
            folder = self.folder.joinpath(*parts)
            for path in folder.glob("[!_]*"):
                if self.module(f"{name}.{path.stem}"):
                    found.add((f"{name}.{path.stem}", WHOLE))
        elif definition == OWN:
            for imported in module.loaded:
                found |= self._load(imported)
            for statement in module.running:
                found |= self._named(name, statement)
        else:
            for statement in module.definitions.get(definition, []):
                found |= self._named(name, statement)
        return frozenset(n for n in found if n[0] != ERRORS and n not in SCHEMAS)

    def _load(self, imported: Import) -> set[Node]:
        """The modules that an import statement runs."""
        candidates = [imported.loaded, f"{imported.loaded}.{imported.attribute}"]
        found = {(m, OWN) for m in candidates if self.module(m)}
        if imported.name == WHOLE and self.module(imported.module):
            found.add((imported.module, WHOLE))
        return found

    def _named(self, name: str, statement: Statement) -> set[Node]:
        """What the names in a statement of module ``name`` stand for."""
        module = self.module(name)
        found = set()
        inner: dict[str, list[Import]] = {}
        for imported in statement.imports:
            inner.setdefault(imported.name, []).append(imported)
            found |= self._load(imported)
        for chain in statement.chains:
            for imported in inner.get(chain[0], []):
                found |= self._follow_import(imported, chain[1:])
            if chain[0] in module.definitions or chain[0] in module.imports:
                found |= self._follow(name, chain)
            elif module.dotted(chain) in _UNSEEN:
                found.add(EVERYTHING)
        return found

    def _follow_import(self, imported: Import, attributes: Chain) -> set[Node]:
        own = () if imported.attribute is None else (imported.attribute,)
        return self._follow(imported.module, (*own, *attributes))

    def _follow(self, name: str, chain: Chain) -> set[Node]:
        """What ``chain`` stands for as attributes of module ``name``."""
        module = self.module(name)
        if module is None:
            dotted = ".".join((name, *chain))
            if dotted == _CHOSEN:
                return {(_CHOSEN, OWN)}
            return {EVERYTHING} if dotted in _UNSEEN else set()
        if name == ERRORS:
            return set()
        if not chain:
            return {(name, WHOLE)}
        found = set()
        if chain[0] in module.definitions or chain[0] in module.imports:
            found.add((name, chain[0]))
        for imported in module.imports.get(chain[0], []):
            # A package may import its own modules, by the names that they have anyway.
            if (imported.module, imported.attribute) != (name, chain[0]):
                found |= self._follow_import(imported, chain[1:])
        if self.module(f"{name}.{chain[0]}"):
            found |= self._follow(f"{name}.{chain[0]}", chain[1:])
        return found or {(name, WHOLE)}
