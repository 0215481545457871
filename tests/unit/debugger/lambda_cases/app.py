"""The code that runs under awslambdaric and in a child: a case has a function, or a value.

The id of a request is the name of its case. It is Python 3.8, and imports nothing of the tests.
"""

import atexit
import collections
import contextlib
import dataclasses
import datetime
import decimal
import enum
import fractions
import importlib
import io
import json
import logging
import math
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import types
import uuid
import warnings

logger = logging.getLogger()


def handler(event, context):
    name = context.aws_request_id
    if name in VALUES:
        return VALUES[name]()
    return globals()[name](event, context)


# --- Values ---------------------------------------------------------------------------------------

Point = collections.namedtuple("Point", "x y")


class Row:
    """As SQLAlchemy has them: a sequence of its own with ``_asdict``."""

    def __init__(self, fields):
        self._fields = fields

    def __iter__(self):
        return iter(self._fields.values())

    def _asdict(self):
        return self._fields


class Colour(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    LARGE = 3


class Name(str, enum.Enum):
    ANN = "ann"


class Whole(int):
    def __str__(self):
        return "whole"

    __repr__ = __str__


class Seventh(int):
    def __int__(self):
        return 7


class Real(float):
    def __repr__(self):
        return "real"


class Text(str):
    def __str__(self):
        return "another"


class Fields(dict):
    def items(self):
        return [("other", 1)]


class AsFields(dict):
    def _asdict(self):
        return {"as": "dict"}


class Items(list):
    def __iter__(self):
        return iter([9])


class Strange:
    def _asdict(self):
        return [1]


class Demanding:
    def _asdict(self, wanted):
        return {}


class Failing:
    def _asdict(self):
        raise KeyError("no")


class Pretending:
    __class__ = int


class Everything:
    """Has any attribute, as mocks have."""

    def __getattr__(self, name):
        return lambda: {"asked": name}


class Refusing:
    def __getattr__(self, name):
        raise ValueError("no " + name)


@dataclasses.dataclass
class Order:
    id: int


def circular_list():
    value = []
    value.append(value)
    return value


def circular_dict():
    value = {}
    value["a"] = [value]
    return value


def circular_row():
    value = Row({})
    value._fields["a"] = value
    return value


def nested(depth, leaf):
    for _ in range(depth):
        leaf = [leaf]
    return leaf


def fails(error):
    raise error


VALUES = {
    # Constants and numbers
    "none": lambda: None,
    "true": lambda: True,
    "false": lambda: False,
    "zero": lambda: 0,
    "negative": lambda: -7,
    "big_int": lambda: 10**40,
    "int_of_4300_digits": lambda: 10**4299,
    "float": lambda: 1.5,
    "float_whole": lambda: 1e16,
    "float_small": lambda: 5e-324,
    "float_many_digits": lambda: 0.1 + 0.2,
    "float_negative_zero": lambda: -0.0,
    "nan": lambda: math.nan,
    "infinity": lambda: [math.inf, -math.inf],
    "int_enum": lambda: Size.LARGE,
    "int_subclass": lambda: [Whole(3), Seventh(3)],
    "float_subclass": lambda: [Real(1.5), Real("nan")],
    "complex": lambda: 1j,
    "fraction": lambda: fractions.Fraction(1, 3),
    # Decimals
    "decimal": lambda: decimal.Decimal("1.10"),
    "decimal_many_digits": lambda: decimal.Decimal("0.1234567890123456789012345678901234567890"),
    "decimal_exponent": lambda: [decimal.Decimal("1E+5"), decimal.Decimal("1e-20")],
    "decimal_zero": lambda: [decimal.Decimal("-0"), decimal.Decimal("0E-10")],
    "decimal_nan": lambda: [
        decimal.Decimal("NaN"),
        decimal.Decimal("-NaN"),
        decimal.Decimal("sNaN"),
    ],
    "decimal_infinity": lambda: [decimal.Decimal("Infinity"), decimal.Decimal("-Infinity")],
    "decimal_key": lambda: {decimal.Decimal(1): 2},
    "decimal_deep": lambda: {
        "a": [{"b": (decimal.Decimal("1.0"), {"c": decimal.Decimal("2.00")})}]
    },
    "decimal_of_an_item": lambda: {"price": decimal.Decimal("19.90"), "n": decimal.Decimal(3)},
    # Text
    "text": lambda: "text",
    "text_empty": lambda: "",
    "text_json": lambda: '{"a": 1}',
    "text_latin": lambda: "é\x7f\x80\xff",
    "text_wide": lambda: "你好🐍\U0010ffff",
    "text_controls": lambda: "".join(map(chr, range(32))) + '"\\/',
    "text_separators": lambda: "\u2028\u2029<>&'",
    "text_byte_order_mark": lambda: "\ufeffa\ufffe\uffff",
    "text_subclass": lambda: [Text("given"), {Text("key"): 1}],
    "text_enum": lambda: [Name.ANN, {Name.ANN: 1}],
    "text_surrogate": lambda: ["\ud800"],
    "text_surrogate_pair": lambda: "\ud83d\ude00",
    "text_surrogate_key": lambda: {"\udcff": decimal.Decimal(1)},
    # Bytes
    "bytes": lambda: b'{"raw":  1}',
    "bytes_no_json": lambda: b"plain text",
    "bytes_no_text": lambda: b"\xff\x00\xfe",
    "bytes_empty": lambda: b"",
    "bytes_utf_8": lambda: '{"é": "🐍"}'.encode(),
    "bytes_with_mark": lambda: b"\xef\xbb\xbf{}",
    "bytes_nan": lambda: b"[NaN]",
    "bytes_digits": lambda: b"[1.10, 1e400, 1E5, 100000000000000000000000000000.5]",
    "bytes_spaces": lambda: b" \r\n[1 ,2]\n",
    "bytes_twice": lambda: b'{"a": 1, "a": 2}',
    "bytes_inside": lambda: {"b": b"text", "l": [b"\xc3\xa9"]},
    "bytes_key": lambda: {b"key": 1, b"\xc3\xa9": b"v"},
    "bytes_inside_no_text": lambda: {"b": b"\xff"},
    "bytes_key_no_text": lambda: {b"\xff": 1},
    "bytearray": lambda: bytearray(b"{}"),
    "memoryview": lambda: memoryview(b"{}"),
    # Containers
    "dict": lambda: {"a": 1, "b": [1, 2, {"c": None}]},
    "dict_empty": lambda: [{}, [], ()],
    "dict_order": lambda: {"b": 1, "a": 2, "c": 3},
    "dict_keys": lambda: {1: 2, None: 3, False: 4, 1.5: 5, math.inf: 6, Size.LARGE: 7},
    "dict_keys_alike": lambda: {1: "a", "1": "b"},
    "dict_key_nan": lambda: {math.nan: 1},
    "dict_key_tuple": lambda: {(1, 2): 3},
    "dict_key_date": lambda: {datetime.date(2026, 1, 1): 1},
    "dict_subclass": lambda: [Fields(a=1), Fields()],
    "dict_ordered": lambda: collections.OrderedDict([("b", 1), ("a", 2)]),
    "dict_default": lambda: collections.defaultdict(list, a=[1]),
    "dict_counter": lambda: collections.Counter("aab"),
    "dict_chain": lambda: collections.ChainMap({"a": 1}),
    "dict_proxy": lambda: types.MappingProxyType({"a": 1}),
    "dict_as_dict": lambda: AsFields(a=1),
    "dict_view": lambda: {"a": 1}.items(),
    "list_subclass": lambda: [Items([1]), Items()],
    "tuple": lambda: (1, (2, 3), [(4,)]),
    "set": lambda: {1},
    "frozenset": lambda: frozenset([1]),
    "generator": lambda: (number for number in [1, 2]),
    "range": lambda: range(3),
    "map": lambda: map(str, [1]),
    "deque": lambda: collections.deque([1]),
    "named_tuple": lambda: Point(1, Point(2, [Point(3, 4)])),
    "named_tuple_empty": lambda: collections.namedtuple("Nothing", "")(),
    "row": lambda: [Row({"id": 1, "price": decimal.Decimal("1.0")}), Row({})],
    "row_alone": lambda: Row({"id": 1}),
    "row_of_rows": lambda: Row({"rows": [Row({1: Point(1, 2)})]}),
    "as_dict_of_a_list": lambda: Strange(),
    "as_dict_with_arguments": lambda: Demanding(),
    "as_dict_that_fails": lambda: Failing(),
    "as_dict_of_a_class": lambda: [Point],
    "any_attribute": lambda: Everything(),
    "no_attribute": lambda: Refusing(),
    "dataclass": lambda: Order(1),
    "dataclass_as_dict": lambda: dataclasses.asdict(Order(1)),
    "circular_list": circular_list,
    "circular_dict": circular_dict,
    "circular_row": circular_row,
    "same_twice": lambda: [[VALUES_SHARED, VALUES_SHARED], VALUES_SHARED],
    "nested_100": lambda: nested(100, 1),
    "nested_700_decimal": lambda: nested(700, decimal.Decimal(1)),
    "nested_100000": lambda: nested(100_000, 1),
    # Other objects
    "object": lambda: object(),
    "class": lambda: Order,
    "function": lambda: fails,
    "module": lambda: math,
    "exception": lambda: ValueError("x"),
    "enum": lambda: Colour.RED,
    "date": lambda: datetime.date(2026, 1, 1),
    "datetime": lambda: {"at": datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)},
    "uuid": lambda: uuid.UUID(int=1),
    "path": lambda: pathlib.PurePosixPath("/tmp"),
    "pretending": lambda: Pretending(),
    "response": lambda: {"statusCode": 200, "headers": {"A": "b"}, "body": json.dumps({"ü": 1})},
    "ellipsis": lambda: ...,
    "six_megabytes": lambda: "x" * (6 * 1024 * 1024),
    "too_large": lambda: "x" * (6 * 1024 * 1024 + 99),
    "too_large_bytes": lambda: b"x" * (6 * 1024 * 1024 + 101),
}
VALUES_SHARED = [1]


def simplejson_raw(event, context):
    """On Lambda, projects share the runtime's simplejson."""
    import simplejson

    return [simplejson.RawJSON('{"a":1.10}')]


# --- Events ---------------------------------------------------------------------------------------


def echo(event, context):
    return event


def event_repr(event, context):
    return ascii(event)


# --- Errors ---------------------------------------------------------------------------------------


class TeapotError(Exception):
    pass


class SpeechlessError(Exception):
    def __str__(self):
        raise ValueError("no words")


class MuteError(Exception):
    def __str__(self):
        return None


class AbruptEnd(BaseException):
    pass


def error(event, context):
    raise TeapotError("no coffee: é")


def error_deep(event, context):
    def brew(what):
        return {"coffee": lambda: fails(TeapotError(what))}[what]()

    return [brew(one) for one in ["coffee"]]


def error_without_message(event, context):
    raise TeapotError


def error_with_arguments(event, context):
    raise TeapotError("a", 1, {"b": 2})


def error_of_several_lines(event, context):
    raise TeapotError("first\nsecond\r\n  third\n")


def error_with_percents(event, context):
    raise TeapotError("100 % of %s {0}")


def error_key(event, context):
    return {}["missing"]


def error_os(event, context):
    open("/no/such/file")


def error_unicode(event, context):
    b"\xff".decode()


def error_division(event, context):
    return 1 / 0


def error_of_several_lines_of_code(event, context):
    return dict(
        a=1,
        b=fails(
            TeapotError("in the middle"),
        ),
    )


def error_from(event, context):
    try:
        {}["x"]
    except KeyError as cause:
        raise TeapotError("boom") from cause


def error_while(event, context):
    try:
        {}["x"]
    except KeyError:
        raise TeapotError("boom")


def error_from_none(event, context):
    try:
        {}["x"]
    except KeyError:
        raise TeapotError("boom") from None


def error_again(event, context):
    try:
        fails(TeapotError("first"))
    except TeapotError:
        raise


def error_in_finally(event, context):
    try:
        fails(TeapotError("first"))
    finally:
        {}["second"]


def error_with_notes(event, context):
    error = TeapotError("noted")
    if hasattr(error, "add_note"):
        error.add_note("a note")
    raise error


def error_group(event, context):
    if sys.version_info < (3, 11):
        raise TeapotError("no groups")
    group = ExceptionGroup  # noqa: F821
    raise group("several", [TeapotError("one"), group("more", [KeyError("two")])])


def error_with_trace(event, context):
    try:
        fails(TeapotError("kept"))
    except TeapotError as caught:
        kept = caught
    raise kept.with_traceback(kept.__traceback__)


def error_without_trace(event, context):
    raise TeapotError("x").with_traceback(None)


def error_in_thread(event, context):
    caught = []

    def work():
        try:
            fails(TeapotError("elsewhere"))
        except TeapotError as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    raise caught[0]


def error_recursion(event, context):
    return error_recursion(event, context)


def error_memory(event, context):
    raise MemoryError


def error_memory_real(event, context):
    return b"x" * (1 << 62)


def error_assertion(event, context):
    assert event, "nothing given"


def error_stop_iteration(event, context):
    raise StopIteration("done")


def error_async(event, context):
    import asyncio

    async def work():
        raise TeapotError("async")

    return asyncio.run(work())


def error_exec(event, context):
    exec(compile("def made():\n    raise KeyError('made')\nmade()", "<made>", "exec"), {})


def error_in_eval(event, context):
    return eval("1 +")


def error_in_import(event, context):
    import module_that_raises  # noqa: F401


def error_in_import_module(event, context):
    importlib.import_module("module_that_raises")


def error_missing_import(event, context):
    import not_installed  # noqa: F401


def error_syntax_import(event, context):
    import module_of_bad_syntax  # noqa: F401


def error_in_json(event, context):
    return json.loads("{")


def error_in_encoding(event, context):
    return "é".encode("ascii")


def error_subprocess(event, context):
    subprocess.run(["false"], check=True)


def error_warning(event, context):
    warnings.warn("as an error", category=DeprecationWarning, stacklevel=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.warn("raised", category=UserWarning, stacklevel=1)


def error_surrogate(event, context):
    raise TeapotError("half: \ud800")


def error_long(event, context):
    raise TeapotError("x" * 100_000)


def error_name(event, context):
    raise type("Tëapot\n", (Exception,), {})("named")


def error_bootstrap_file(event, context):
    import bootstrap

    return bootstrap.fail()


def error_type_of_call(event, context):
    return len(1, 2)


def error_lambda(event, context):
    return (lambda value: value["x"])({})


def error_property(event, context):
    class Thing:
        @property
        def value(self):
            raise AttributeError("hidden")

    return Thing().value


def error_generator(event, context):
    return list(number for number in iter(lambda: fails(TeapotError("later")), 0))


def error_nested_class(event, context):
    class Inner:
        class DeepError(Exception):
            pass

    raise Inner.DeepError("qualified")


def error_timeout(event, context):
    raise TimeoutError("took too long")


def error_false(event, context):
    class EmptyError(Exception):
        def __bool__(self):
            return False

    raise EmptyError("falsy")


# --- Exits ----------------------------------------------------------------------------------------


def exit_0(event, context):
    sys.exit()


def exit_3(event, context):
    sys.exit(3)


def exit_text(event, context):
    sys.exit("why it ends")


def exit_os(event, context):
    os._exit(4)


def exit_raise(event, context):
    raise SystemExit(5)


def exit_keyboard(event, context):
    raise KeyboardInterrupt


def exit_base(event, context):
    raise AbruptEnd("at once")


def exit_generator(event, context):
    raise GeneratorExit


def exit_speechless(event, context):
    raise SpeechlessError


def exit_mute(event, context):
    raise MuteError


def exit_surrogate(event, context):
    return "\ud800"


def exit_kill(event, context):
    os.kill(os.getpid(), signal.SIGKILL)


def exit_abort(event, context):
    os.abort()


def exit_segmentation(event, context):
    os.kill(os.getpid(), signal.SIGSEGV)


def exit_with_output(event, context):
    print("before the end")
    atexit.register(print, "at exit")
    sys.exit(6)


def exit_in_marshalling(event, context):
    class Row:
        def _asdict(self):
            sys.exit(7)

    return Row()


# --- Context --------------------------------------------------------------------------------------


def context_attributes(event, context):
    skipped = ("_log_sink", "_epoch_deadline_time_in_ms")
    shown = {name: repr(value) for name, value in vars(context).items() if name not in skipped}
    return dict(sorted(shown.items()))


def context_repr(event, context):
    return repr(context)


def context_client(event, context):
    client = context.client_context
    return [client.custom, client.env, repr(client.client), repr(client)]


def context_slots(event, context):
    return [context.identity.__slots__, hasattr(context.identity, "__dict__")]


def context_methods(event, context):
    own = [name for name in dir(context) if not name.startswith("_")]
    return [own, type(context).__name__, context.w3c()]


def context_time(event, context):
    left = context.get_remaining_time_in_millis()
    return [type(left).__name__, left > 0]


def context_log(event, context):
    context.log("said")
    context.log({"a": 1})
    context.log("two\nlines\n")


def context_new_attribute(event, context):
    context.mine = 1
    return context.mine


# --- Surroundings ---------------------------------------------------------------------------------


def world_folder(event, context):
    return [os.getcwd() == str(pathlib.Path(__file__).parent), sys.path[0] == os.getcwd()]


def world_main(event, context):
    return [__name__, __package__, __spec__.name]


def world_thread(event, context):
    return threading.current_thread() is threading.main_thread()


def world_encoding(event, context):
    return [sys.stdout.encoding, sys.stderr.encoding, sys.getfilesystemencoding(), sys.stdin.read()]


def world_streams(event, context):
    return [
        sys.stdout.isatty(),
        sys.stderr.isatty(),
        sys.stdout.fileno(),
        sys.stderr.fileno(),
        sys.stdout.name,
        sys.stderr.name,
        sys.stderr.writable(),
    ]


def world_logging(event, context):
    root = logging.getLogger()
    [one] = root.handlers
    return [
        type(one).__name__,
        type(one.formatter).__name__,
        logging.Formatter.converter is time.gmtime,
        root.level,
        one.level,
        len(one.filters),
    ]


def world_hooks(event, context):
    return [
        sys.displayhook is sys.__displayhook__,
        sys.gettrace() is None,
        sys.getprofile() is None,
    ]


def world_limits(event, context):
    return [sys.getrecursionlimit(), sys.flags.optimize, sys.flags.dev_mode, sys.warnoptions]


def world_telemetry(event, context):
    return "_LAMBDA_TELEMETRY_LOG_FD" in os.environ


def world_state(event, context):
    world_state.calls = getattr(world_state, "calls", 0) + 1
    return world_state.calls > 0


# --- Output ---------------------------------------------------------------------------------------


def output_print(event, context):
    print("one", 2, sep="-")
    print("é你🐍")
    print()
    sys.stdout.write("written\n")


def output_stderr(event, context):
    print("one", file=sys.stderr)
    sys.stderr.write("two\nthree\n")
    sys.stderr.writelines(["four\n", "five\n"])
    sys.stderr.buffer.write(b"six\n")
    sys.stderr.flush()


def output_partial(event, context):
    sys.stdout.write("no end")


def output_carriage_return(event, context):
    print("10 %\r20 %\r\nnext")


def output_bytes(event, context):
    sys.stdout.buffer.write(b"\xff\xfe junk\n")
    sys.stdout.flush()
    os.write(1, b"raw\n")


def output_subprocess(event, context):
    subprocess.run(["sh", "-c", "echo from below"], check=True)


def output_long(event, context):
    print("x" * 300_000)


def output_warning(event, context):
    warnings.warn("careful", stacklevel=1)


def output_redirected(event, context):
    caught = io.StringIO()
    with contextlib.redirect_stdout(caught):
        print("caught")
    print("seen")
    return caught.getvalue()


# --- Logging --------------------------------------------------------------------------------------


def log_levels(event, context):
    for level in (0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60):
        logger.log(level, "at %d", level)


def log_own_level(event, context):
    child = logging.getLogger("lib.part")
    child.setLevel("DEBUG")
    child.debug("detail")
    child.setLevel("NOTSET")
    child.debug("nothing")
    child.warning("something")


def log_arguments(event, context):
    logger.error("%s is %d and %r", "é", 3, None)
    logger.error("%(a)s", {"a": 1})
    logger.error("100 %")


def log_wrong_arguments(event, context):
    logger.error("%d", "x")


def log_object(event, context):
    logger.error({"a": 1, "b": [None, "é"]})
    logger.error({"a": 1}, 2)
    logger.error(["list"])
    logger.error(None)
    logger.error({"at": datetime.date(2026, 1, 1), "d": decimal.Decimal("1.10")})


def log_lines(event, context):
    logger.error("first\nsecond\n\nfourth")


def log_exception(event, context):
    try:
        fails(TeapotError("caught"))
    except TeapotError:
        logger.exception("it failed")


def log_exception_chain(event, context):
    try:
        try:
            {}["x"]
        except KeyError as cause:
            raise TeapotError("caught") from cause
    except TeapotError as error:
        logger.error("it failed", exc_info=error)


def log_no_exception(event, context):
    logger.error("none", exc_info=True)


def log_stack(event, context):
    logger.error("where", stack_info=False)


def log_extra(event, context):
    logger.error("more", extra={"order": 7, "nothing": None, "of": uuid.UUID(int=1), "level": "x"})


def log_surrogate(event, context):
    try:
        logger.error("half: \ud800")
    except UnicodeEncodeError as error:
        return str(error)


def log_unprintable(event, context):
    logger.error("zero \x00 escape \x1b[31m tab \t")


def log_tenant(event, context):
    logger.error("for a tenant")
    return context.tenant_id


def log_formatter(event, context):
    one = logger.handlers[0]
    before = one.formatter
    one.setFormatter(logging.Formatter("%(aws_request_id)s|%(levelname)s|%(message)s"))
    try:
        logger.error("own format")
    finally:
        one.setFormatter(before)


def log_basic_config(event, context):
    logging.basicConfig(level="DEBUG")
    logger.warning("still once")


def log_redirected(event, context):
    with contextlib.redirect_stdout(io.StringIO()):
        logger.error("not redirected")


def log_custom_level(event, context):
    logging.addLevelName(33, "NOTICE")
    logger.log(33, "noticed")


def log_thread(event, context):
    thread = threading.Thread(target=logger.error, args=["from a thread"])
    thread.start()
    thread.join()


def log_long(event, context):
    logger.error("x" * 20_000)
