"""Does clock speed predict performance?"""
