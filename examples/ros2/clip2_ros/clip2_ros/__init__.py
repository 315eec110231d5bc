"""ROS 2 node around clip2's live map."""
