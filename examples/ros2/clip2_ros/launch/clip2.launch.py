"""Start the node, configure and activate it, and show its objects in RViz."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, EmitEvent, RegisterEventHandler
from launch.conditions import IfCondition
from launch.events import matches_action
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition


def generate_launch_description() -> LaunchDescription:
    share = Path(get_package_share_directory("clip2_ros"))
    node = LifecycleNode(
        package="clip2_ros", executable="node", name="clip2", namespace="", output="screen",
        parameters=[LaunchConfiguration("params")],
    )  # fmt: skip

    def change(transition: int) -> EmitEvent:
        return EmitEvent(
            event=ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition)
        )

    activate = OnStateTransition(
        target_lifecycle_node=node, goal_state="inactive", start_state="configuring",
        entities=[change(Transition.TRANSITION_ACTIVATE)],
    )  # fmt: skip
    rviz = Node(
        package="rviz2", executable="rviz2", arguments=["-d", str(share / "rviz" / "clip2.rviz")],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )  # fmt: skip
    return LaunchDescription(
        [
            DeclareLaunchArgument("params", default_value=str(share / "config" / "clip2.yaml")),
            DeclareLaunchArgument("rviz", default_value="true"),
            RegisterEventHandler(activate),
            node,
            change(Transition.TRANSITION_CONFIGURE),
            rviz,
        ]
    )
