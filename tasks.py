from fabfile import namespace

__all__ = ["namespace"]
