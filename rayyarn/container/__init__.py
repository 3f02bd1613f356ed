"""What runs inside the containers: stdlib, what ``ray[default]`` brings, and skein's client. Never the edge's parts."""
