"""Files from people: safe reading and writing, YAML documents, and the folders of the catalog."""

__all__ = ["atomic", "cache", "content", "documents", "folders", "messages", "names", "places", "yaml"]
