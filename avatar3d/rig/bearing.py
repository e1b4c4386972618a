"""How an avatar carries its face: edits of expression and pose, done to every pose before it is shown."""

from dataclasses import replace

from avatar3d.core import AvatarError, Bearing, Pose


def carried(pose: Pose, bearing: Bearing | None) -> Pose:
    """Returns the pose as an avatar with this bearing shows it.

    Args:
        pose: Any batch.
        bearing: Gains and offsets of expressions and of joints; None changes nothing.

    Raises:
        AvatarError: The bearing is of another number of expressions or joints.
    """
    if bearing is None:
        return pose
    if bearing.gain.shape[0] != pose.expression.shape[-1] or bearing.turn.shape[0] != pose.joints.shape[-2]:
        raise AvatarError(
            f"avatar: a bearing of {bearing.gain.shape[0]} expressions and {bearing.turn.shape[0]} joints, the pose "
            f"has {pose.expression.shape[-1]} and {pose.joints.shape[-2]}: it was made with another version of the head"
        )
    expression = (pose.expression * bearing.gain + bearing.offset).clamp(0, 1)
    return replace(pose, expression=expression, joints=pose.joints * bearing.swing[:, None] + bearing.turn)
