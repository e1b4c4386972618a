"""What can be said in formats that know splats alone."""

from avatar3d.core import Avatar, AvatarError


def only_splats(avatar: Avatar, what: str) -> None:
    """Raises an `AvatarError` if an avatar has a field, which `what` cannot show."""
    if avatar.field is not None:
        raise AvatarError(
            f"{what} shows splats alone, and this avatar has a field: turn it into splats first, "
            "`avatar3d distil F.a3d -o A.a3d`"
        )
