"""ROS 1 bags, ROS 2 bags (sqlite3, MCAP) and single MCAP files as scans."""
