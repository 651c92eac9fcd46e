"""Images, compose and Kubernetes, without any of them."""
