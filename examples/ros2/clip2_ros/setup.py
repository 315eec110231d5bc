"""Installation of the ament_python package; clip2 itself is installed with pip."""

from glob import glob

from setuptools import setup

setup(
    name="clip2_ros",
    version="0.1.0",
    packages=["clip2_ros"],
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/clip2_ros"]),
        ("share/clip2_ros", ["package.xml"]),
        ("share/clip2_ros/launch", glob("launch/*.py")),
        ("share/clip2_ros/rviz", glob("rviz/*.rviz")),
        ("share/clip2_ros/config", glob("config/*.yaml")),
    ],
    install_requires=["setuptools"],
    entry_points={"console_scripts": ["node = clip2_ros.node:main"]},
)
