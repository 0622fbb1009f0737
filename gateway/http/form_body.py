"""The multipart shape of a classify request."""

from collections.abc import Sequence

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from gateway.http.options import read_options, unique
from gateway.http.parsed import Parsed, assemble
from servicekit.errors import InvalidArgument, Reason

FILE_FIELDS = ("image", "images")


class _Form(MultiPartParser):
    spool_max_size = 2**31  # a body is bounded before it comes here, so it need not go to the disk

    ended = False
    """Whether the closing boundary has been seen."""

    def on_end(self) -> None:
        self.ended = True

    def close(self) -> None:
        """Gives the parts' memory back."""
        for file in self._files_to_close_on_error:
            file.close()


async def from_form(request: Request, query: Sequence[tuple[str, str]]) -> Parsed:
    """Reads the multipart shape: files in `image` or `images`, options in further fields or the query.

    Raises:
        InvalidArgument: the form is cut short, or a part is not what its name says.
    """
    form = _Form(request.headers, request.stream(), max_files=1000, max_fields=16)
    try:
        items = (await form.parse()).multi_items()
    except MultiPartException as error:
        raise _malformed(error.message) from None
    if not form.ended:
        form.close()
        raise _malformed("it ends before its closing boundary, so a part may be missing.")
    texts = [(name, value) for name, value in items if isinstance(value, str)]
    files = [(name, await _take(value)) for name, value in items if isinstance(value, UploadFile)]
    _check_places([name for name, _ in texts], [name for name, _ in files])
    options = read_options(unique([*query, *texts]))
    names = [f"{name}[{index}]" for index, (name, _) in enumerate(files)]
    return assemble([content for _, content in files], names, options, single=len(files) == 1)


async def _take(file: UploadFile) -> bytes:
    content = await file.read()
    await file.close()
    return content


def _check_places(texts: Sequence[str], files: Sequence[str]) -> None:
    for name in texts:
        if name in FILE_FIELDS:
            text = f"The part {name!r} must be a file, as curl sends it with -F {name}=@photo.png; it has no file name."
            raise InvalidArgument(text, field=name)
    for name in files:
        if name not in FILE_FIELDS:
            text = "Files belong in the form field `image`, once per image."
            raise InvalidArgument(text, reason=Reason.FIELD_UNKNOWN, field=name[:64])


def _malformed(why: str) -> InvalidArgument:
    text = f"The body is not a multipart form: {why}"
    return InvalidArgument(text, reason=Reason.REQUEST_MALFORMED, field="body")
